"""The command ``cnnseg-train``."""
