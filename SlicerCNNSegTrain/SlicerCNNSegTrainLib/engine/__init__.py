"""The training engine: no Slicer, no Qt. Folders in the order in which a run goes through them.

``data`` reads the cases, ``checking`` judges them, ``planning`` makes a recipe of them, ``transfer``
gives the network its first weights, ``training`` teaches it, and ``results`` says how good it is and
exports it. ``recipe.py`` decides everything; ``run_folder.py`` tells where everything lies.
"""
