"""The training engine: no Slicer, no Qt. One idea per module; ``loop.py`` reads top to bottom."""
