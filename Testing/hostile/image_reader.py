"""Reads the images named on standard input, a path a line, and prints what came of each as one line of JSON.

A process of its own, so that a crash or a file that takes for ever is the finding of a test and not its end:
what takes over ``SECONDS`` ends the process.
"""

import faulthandler
import json
import resource
import sys

import numpy as np

from SlicerCNNSegLib.engine.errors import CNNSegError
from SlicerCNNSegLib.engine.files.images import read_volume
from SlicerCNNSegLib.engine.volume import Volume

SECONDS = 5


def facts(volume: Volume) -> dict[str, object]:
    """What must be right about anything that looks like an image."""
    spacing = volume.geometry.spacing_mm
    return {
        "bytes": volume.array.nbytes,
        "valid": bool(np.isfinite(volume.ijk_to_ras).all() and np.isfinite(spacing).all() and (spacing > 0).all()),
        "shape": volume.array.shape,
        "notes": volume.notes,
    }


def main() -> None:
    """Read all; every error that is not the project's own is a fault, told by its kind."""
    for line in sys.stdin:
        faulthandler.dump_traceback_later(SECONDS, exit=True)
        try:
            found = facts(read_volume(line.strip()))
        except CNNSegError as error:
            found = {"error": type(error).__name__, "message": str(error)}
        except BaseException as error:
            found = {"fault": f"{type(error).__name__}: {error}"}
        faulthandler.cancel_dump_traceback_later()
        found["peak_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main()
