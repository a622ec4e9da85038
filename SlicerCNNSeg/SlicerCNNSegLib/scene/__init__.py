"""The scene floor: MRML nodes to the engine's plain data, and results to MRML nodes.

The scene is always passed in, so that everything here runs in a Slicer with or without a window and,
through the ``slicer-core`` wheel, in plain Python. ``slicer`` is imported inside the functions that
need one of its classes: outside of Slicer that import takes seconds, and a caller who already holds
nodes has paid for it.
"""
