"""Where the user's models are."""

from __future__ import annotations

import os
from pathlib import Path


def user_models_folder() -> Path:
    """Where trained and installed models go: ``CNNSEG_MODELS``, or ``.cnnseg/models`` in the home folder."""
    given = os.environ.get("CNNSEG_MODELS")
    return Path(given) if given else Path.home() / ".cnnseg" / "models"
