"""The training scene floor: cases out of a scene, and curves and predictions of a run into it.

The scene is always passed in. ``cases`` finds image and truth, ``label_table`` gives their segments
common numbers, ``truth`` turns one truth into a labelmap, and ``dataset`` writes what was found as the
folder that ``cnnseg-train`` takes. ``curves`` and ``predictions`` show a run.
"""
