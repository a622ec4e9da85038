"""Labelled cases: where they come from, how they are divided, and reading them once."""
