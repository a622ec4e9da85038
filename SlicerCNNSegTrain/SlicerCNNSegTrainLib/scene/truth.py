"""What was drawn in one case: its segments, and one labelmap of them on the image's grid."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from SlicerCNNSegLib.engine.errors import InputError
from SlicerCNNSegLib.engine.labels import Label
from SlicerCNNSegLib.engine.volume import Geometry
from SlicerCNNSegLib.engine.wording import listed
from SlicerCNNSegLib.scene.geometry import oriented_labelmap, voxels
from SlicerCNNSegLib.scene.labelmaps import labelmap_from_segmentation, segment_labels
from SlicerCNNSegLib.scene.segmentations import register_segmentations
from SlicerCNNSegLib.scene.volumes import check_volume_node, volume_from_node

if TYPE_CHECKING:
    import slicer

NAMES_LENGTH = 80
"""Characters of segments' names in a message."""

LARGEST_VALUE = np.iinfo(np.uint16).max


def is_segmentation(node: slicer.vtkMRMLNode) -> bool:
    """Whether that is a segmentation node (else a labelmap volume)."""
    return bool(node.IsA("vtkMRMLSegmentationNode"))


def segments_of(node: slicer.vtkMRMLNode) -> dict[str, Label]:
    """Segment id to name, colour and codes; of a labelmap volume the values that occur are the ids.

    A labelmap volume's names, colours and codes are those of its colour table; a value without a name
    there is *Label 3*.

    Raises
    ------
    InputError
        It is a labelmap volume without voxels, or with others than whole numbers from 0 to 65535.
    """
    if is_segmentation(node):
        segmentation = node.GetSegmentation()
        return dict(zip(segmentation.GetSegmentIDs(), segment_labels(segmentation), strict=True))
    found = np.unique(_whole_numbers(node))
    return {str(value): _label_in_colours(node, value) for value in map(int, found) if value}


def labelmap_on(
    node: slicer.vtkMRMLNode, geometry: Geometry, values: Mapping[str, int], *, later_wins: bool = False
) -> np.ndarray:
    """The segments as one labelmap on a grid in the world, whatever grid they were drawn on.

    Parameters
    ----------
    node:
        Segmentation or labelmap volume. Parent transforms are applied, linear or not.
    geometry:
        The image's grid.
    values:
        Segment id to label value; other segments are left out.
    later_wins:
        Where segments overlap, the larger value holds; else overlaps are refused.

    Returns
    -------
    numpy.ndarray
        Shape (k, j, i), uint8 or uint16; sampled by nearest neighbour where grids differ.

    Raises
    ------
    InputError
        Segments of different values overlap.
    """
    merged = np.zeros(geometry.shape_kji, np.uint8 if max(values.values(), default=0) <= 255 else np.uint16)
    if not is_segmentation(node):
        return _labelmap_of_volume(node, geometry, values).astype(merged.dtype)
    register_segmentations(node.GetScene())
    node.CreateBinaryLabelmapRepresentation()
    for ids in _layers(node):
        wanted = [segment_id for segment_id in ids if segment_id in values]
        if not wanted:
            continue
        layer, _, labels = labelmap_from_segmentation(node, geometry, segment_ids=wanted)
        layer = _replaced(layer, {label.value: values[x] for x, label in zip(wanted, labels, strict=True)})
        twice = (merged != 0) & (layer != 0) & (merged != layer)
        if twice.any() and not later_wins:
            _refuse_overlap(node, values, merged[twice], layer[twice])
        merged = np.maximum(merged, layer.astype(merged.dtype))
    return merged


def _layers(node: slicer.vtkMRMLSegmentationNode) -> list[tuple[str, ...]]:
    """Ids of the segments that share a labelmap, and so cannot overlap."""
    import slicer

    segmentation = node.GetSegmentation()
    kind = slicer.vtkSegmentationConverter.GetSegmentationBinaryLabelmapRepresentationName()
    return [segmentation.GetSegmentIDsForLayer(n, kind) for n in range(segmentation.GetNumberOfLayers(kind))]


def _refuse_overlap(
    node: slicer.vtkMRMLSegmentationNode, values: Mapping[str, int], below: np.ndarray, above: np.ndarray
) -> None:
    """Raise, and say which segments hold how many voxels in common."""
    names = {values[x]: node.GetSegmentation().GetSegment(x).GetName() for x in reversed(list(values))}
    pairs, counts = np.unique(np.stack([below, above]), axis=1, return_counts=True)
    common = [
        f"{names[low]!r} and {names[high]!r} ({count} voxels)"
        for (low, high), count in zip(pairs.T.tolist(), counts.tolist(), strict=True)
    ]
    raise InputError(
        f"Segments of {node.GetName()!r} overlap, of which a labelmap can hold one only: "
        f"{listed(common, NAMES_LENGTH)}; subtract one from the other (Segment Editor, Logical operators), leave "
        "one out, or let the later one win."
    )


def _labelmap_of_volume(
    node: slicer.vtkMRMLLabelMapVolumeNode, geometry: Geometry, values: Mapping[str, int]
) -> np.ndarray:
    """A labelmap volume with new values, on the grid; nearest neighbour where it lies on another."""
    _whole_numbers(node)
    volume = volume_from_node(node)
    labelmap = _replaced(volume.array[0].astype(np.uint16), {int(old): new for old, new in values.items()})
    if volume.geometry.matches(geometry):
        return labelmap
    import slicer

    image = oriented_labelmap(labelmap, volume.ijk_to_ras, (0, 0, 0))
    grid = oriented_labelmap(np.zeros(geometry.shape_kji, np.uint8), geometry.ijk_to_ras, (0, 0, 0))
    moved = slicer.vtkOrientedImageData()
    slicer.vtkOrientedImageDataResample.ResampleOrientedImageToReferenceOrientedImage(image, grid, moved)
    return voxels(moved)[0]


def _replaced(labelmap: np.ndarray, new: Mapping[int, int]) -> np.ndarray:
    """The labelmap with new values for old ones, and 0 for all others."""
    table = np.zeros(1 + max(int(labelmap.max()), *new), np.uint16)
    table[list(new)] = list(new.values())
    return table[labelmap]


def _whole_numbers(node: slicer.vtkMRMLLabelMapVolumeNode) -> np.ndarray:
    """The node's own voxels, shape (k, j, i), once they have proved to be labels."""
    check_volume_node(node)
    array = voxels(node.GetImageData())[0]
    low, high = array.min(), array.max()
    whole = np.issubdtype(array.dtype, np.integer) or bool((array == np.rint(array)).all())
    if not (whole and low >= 0 and high <= LARGEST_VALUE):
        raise InputError(
            f"Expected whole numbers from 0 to {LARGEST_VALUE} in the labelmap {node.GetName()!r}, got "
            f"{low:g} to {high:g}; is it an image?"
        )
    return array


def _label_in_colours(node: slicer.vtkMRMLLabelMapVolumeNode, value: int) -> Label:
    """What the volume's colour table says about a value."""
    from SlicerCNNSegLib.engine.files.segments import generic_label

    generic = generic_label(value)
    display = node.GetDisplayNode()
    colours = display.GetColorNode() if display else None
    if colours is None or not colours.GetColorName(value):
        return generic
    rgba = [0.0] * 4
    colours.GetColor(value, rgba)
    # a colour table's text has one ~ more at its end than a segment's
    text = colours.GetTerminologyAsString(value).removesuffix("~")
    name = colours.GetColorName(value)
    return Label(value, name, (rgba[0], rgba[1], rgba[2])).with_terminology(text)
