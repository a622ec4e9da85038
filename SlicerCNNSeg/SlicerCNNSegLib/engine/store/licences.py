"""Which licences need no acknowledgement."""

from __future__ import annotations

import re

PERMISSIVE = frozenset(
    {
        "0BSD", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "BSL-1.0", "CC-BY-4.0", "CC0-1.0", "ISC", "MIT",
        "Unlicense", "Zlib",
    }
)  # fmt: skip
"""SPDX identifiers of licences that allow every use and ask for no more than to be named."""

_PERMISSIVE_KEYS = frozenset(name.lower() for name in PERMISSIVE)


def is_permissive(licence: str) -> bool:
    """Whether the licence is one of ``PERMISSIVE``; spaces count as hyphens, letters of either case."""
    return re.sub(r"[\s_-]+", "-", licence.strip().lower()) in _PERMISSIVE_KEYS
