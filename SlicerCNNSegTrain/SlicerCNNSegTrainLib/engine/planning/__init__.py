"""What the data is like, and what follows from it for a recipe."""
