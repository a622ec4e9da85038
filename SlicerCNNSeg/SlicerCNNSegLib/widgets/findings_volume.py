"""The CT in which the findings of a table lie."""

from __future__ import annotations

import numpy as np
import slicer

from ..engine.errors import InputError
from ..engine.volume import Geometry, Volume
from ..scene.findings import VOLUME_ROLE
from ..scene.records import record_of
from ..scene.volumes import volume_from_node


def volume_of_findings(
    table: slicer.vtkMRMLTableNode,
) -> tuple[slicer.vtkMRMLScalarVolumeNode, Volume]:
    """The volume node that was searched, and its image where the findings are.

    Raises
    ------
    InputError
        The volume is no longer in the scene, or has been moved since.
    """
    node = table.GetNodeReference(VOLUME_ROLE)
    if node is None:
        raise InputError(f"The volume of {table.GetName()} is not in the scene; load it and detect again.")
    volume = volume_from_node(node)
    record = record_of(table)
    searched = record["inputs"][0] if record else {}
    if searched:
        i, j, k = searched["size_ijk"]
        if not volume.geometry.matches(Geometry((k, j, i), np.array(searched["ijk_to_ras"]))):
            raise InputError(f"The volume {node.GetName()} was moved since its findings were made; detect again.")
    return node, volume
