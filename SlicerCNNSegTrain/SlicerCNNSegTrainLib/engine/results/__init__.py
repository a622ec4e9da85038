"""What comes of a run: how good it is, its card, and the model that the other module offers."""
