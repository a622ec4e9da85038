"""Weights that came without a model folder, and their description: what makes a model of them."""
