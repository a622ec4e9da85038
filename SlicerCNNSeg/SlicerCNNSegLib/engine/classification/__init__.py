"""Classification: what an image, or a part of it, shows, how sure that is, and why."""
