"""``python -m SlicerCNNSegLib.cli`` is ``cnnseg``, for where the command is not on the path (Slicer)."""

import sys

from .main import main

sys.exit(main())
