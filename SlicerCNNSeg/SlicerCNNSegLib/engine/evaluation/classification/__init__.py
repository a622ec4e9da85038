"""How good the probabilities of a classifier are, against the truth and against a second reader."""
