"""What the training panel is made of: its sections, and what goes into their tables."""
