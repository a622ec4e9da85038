"""What a bundle's config may name beyond the tables of ``engine/configs``, and what the run does in its place."""

from __future__ import annotations

LOADING = frozenset({"LoadImage", "LoadImaged"})
IDLE = frozenset(
    {
        *LOADING,
        *("SaveImage", "SaveImaged"),
        *("AddChannel", "AddChanneld", "AsChannelFirst", "AsChannelFirstd"),
        *("EnsureChannelFirst", "EnsureChannelFirstd"),
    }
)
"""Transforms that do nothing here: a ``Volume`` comes in channel first, and a ``Result`` goes out."""

UNREAD = frozenset({"Lambda", "Lambdad"})
"""Transforms around a function, which is code. Behind ``AsDiscreted`` they only bring labels into the form of a file
(``reading.py`` sees to it), which is left out; elsewhere they are refused."""

DISCRETE = frozenset({"AsDiscrete", "AsDiscreted"})
SLICE_INFERER = "SliceInferer"
PREPROCESSING, NETWORK, INFERER, POSTPROCESSING = "preprocessing", "network_def", "inferer", "postprocessing"
"""Ids of what is taken from a config."""
LARGEST_OF_ARRAYS = 4 * 2**20
"""Bytes of a ``.pt`` file that may hold arrays of numpy besides tensors."""
