"""Hostile models, made anew by each test.

Archives, folders and weights that want to write, read or run what they must not, or to fill the memory or the disk.
Each maker is registered with the error that must come of it, and what its message must say.
"""

from . import costs, damage, foreign, members, names, sizes, texts, trained, weights  # noqa: F401 - each registers its own
from .making import ARTEFACTS, MIB, SECRET, write_folder, write_tar, write_zip

__all__ = ["ARTEFACTS", "MIB", "SECRET", "write_folder", "write_tar", "write_zip"]
