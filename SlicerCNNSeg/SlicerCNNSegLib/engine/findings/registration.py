"""Two dates of one patient brought together by a rigid movement (heavy: SimpleITK).

Lungs breathe, which no rigid movement follows: after it, places in the lungs agree to some millimetres, which is what
``matching`` needs. The correlation of grey values around the lungs is made largest, from coarse to fine, starting with
the lungs' middles on each other.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk

from ..errors import Cancelled, InputError
from ..progress import NoProgress, Progress
from ..volume import RAS_FROM_LPS, Volume
from .boxes import OrientedBox
from .lungs import Lungs

WORKING_MM = 3.0
"""Voxels of about this size: finer ones move the result by less than breathing does."""

AROUND_LUNGS_MM = 15.0
"""The chest wall holds still and has the strongest edges, so some of it counts too."""

LEVELS = ((4, 4.0), (2, 2.0), (1, 0.0))
"""Shrinking factor and smoothing (mm) of each level."""

STEPS = 100
POOR_CORRELATION = 0.5
"""Below this correlation two chest CTs are not aligned: two dates of one patient reach 0.9 and more."""


@dataclass(frozen=True, eq=False)
class Alignment:
    """How the later date lies on the earlier one.

    Parameters
    ----------
    to_earlier:
        4x4, from RAS mm of the later date to RAS mm of the earlier one.
    correlation:
        Of the grey values around the lungs, after the movement.
    warnings:
        That it did not work, if so.
    """

    to_earlier: np.ndarray
    correlation: float
    warnings: tuple[str, ...] = ()

    def earlier_from_later(self, ras_mm: np.ndarray) -> np.ndarray:
        """Points of the later date where they were at the earlier one, shape (..., 3)."""
        return np.asarray(ras_mm) @ self.to_earlier[:3, :3].T + self.to_earlier[:3, 3]

    def later_from_earlier(self, ras_mm: np.ndarray) -> np.ndarray:
        """Points of the earlier date where they are at the later one, shape (..., 3)."""
        return (np.asarray(ras_mm) - self.to_earlier[:3, 3]) @ self.to_earlier[:3, :3]

    def box_at_later(self, box: OrientedBox) -> OrientedBox:
        """A box of the earlier date, where it is at the later one."""
        center = self.later_from_earlier(np.asarray(box.center_ras_mm))
        rows = np.array(box.directions) @ self.to_earlier[:3, :3]
        return OrientedBox(tuple(center), box.size_mm, tuple(map(tuple, rows)))  # type: ignore[arg-type]


def align(
    earlier: Volume,
    earlier_lungs: Lungs,
    later: Volume,
    later_lungs: Lungs,
    progress: Progress | None = None,
) -> Alignment:
    """The rigid movement from the later date to the earlier one.

    Parameters
    ----------
    earlier, later:
        Both CTs, the first channel in HU.
    earlier_lungs, later_lungs:
        Found in them.
    progress:
        Where to report.

    Raises
    ------
    InputError
        The images have too little in common to compare them.
    GeometryError
        The axes of an image are not orthogonal.
    Cancelled
        The user asked to stop.
    """
    progress = NoProgress() if progress is None else progress
    progress.report(0.0, "Aligning the two dates")
    fixed, moving = _coarse(later), _coarse(earlier)
    mask = _around(later_lungs, fixed)
    method = _method(mask)
    start = sitk.Euler3DTransform()
    middle, target = _middle_lps(later_lungs), _middle_lps(earlier_lungs)
    start.SetCenter([float(x) for x in middle])
    start.SetTranslation([float(x) for x in target - middle])
    method.SetInitialTransform(start, inPlace=False)
    done = 0

    def step() -> None:
        nonlocal done
        done += 1
        progress.report(min(done / (STEPS * len(LEVELS)), 1.0), "Aligning the two dates")
        if progress.cancelled():
            method.StopRegistration()

    method.AddCommand(sitk.sitkIterationEvent, step)
    try:
        moved = method.Execute(fixed, moving)
        similarity = method.GetMetricValue()
    except RuntimeError as error:  # ITK's, when no point of one image lies in the other
        raise _too_little_in_common() from error
    if progress.cancelled():
        raise Cancelled
    if not abs(similarity) <= 1:  # the largest number there is, when no point is left on the way
        raise _too_little_in_common()
    correlation = float(np.sqrt(max(0.0, -similarity)))  # ITK gives minus its square
    poor = (
        f"The two dates were aligned poorly (correlation {correlation:.2f}, expected {POOR_CORRELATION} at least): "
        "check each match by eye."
    )
    rigid = sitk.Euler3DTransform(sitk.CompositeTransform(moved).GetBackTransform())
    return Alignment(_ras_matrix(rigid), correlation, (poor,) if correlation < POOR_CORRELATION else ())


def _too_little_in_common() -> InputError:
    return InputError(
        "The two dates cannot be aligned: their lungs have too little in common; check that both are of one patient "
        "and show the same part of the chest."
    )


def _method(mask: sitk.Image) -> sitk.ImageRegistrationMethod:
    """Correlation inside the mask, from coarse to fine, by gradient descent; nothing in it is random."""
    method = sitk.ImageRegistrationMethod()
    method.SetMetricAsCorrelation()
    method.SetMetricFixedMask(mask)
    method.SetMetricSamplingStrategy(method.NONE)
    method.SetInterpolator(sitk.sitkLinear)
    method.SetOptimizerAsRegularStepGradientDescent(2.0, 0.01, STEPS, relaxationFactor=0.6)
    method.SetOptimizerScalesFromPhysicalShift()
    method.SetShrinkFactorsPerLevel([factor for factor, _ in LEVELS])
    method.SetSmoothingSigmasPerLevel([sigma for _, sigma in LEVELS])
    method.SmoothingSigmasAreSpecifiedInPhysicalUnitsOn()
    return method


def _coarse(volume: Volume) -> sitk.Image:
    """The first channel as an image of about ``WORKING_MM``, clipped to what lungs and tissue have."""
    single = Volume(volume.array[:1], volume.ijk_to_ras).to_sitk()
    image = sitk.Clamp(sitk.Cast(single, sitk.sitkFloat32), sitk.sitkFloat32, -1000.0, 200.0)
    factors = [max(1, round(WORKING_MM / spacing)) for spacing in image.GetSpacing()]
    return sitk.BinShrink(image, factors)


def _around(lungs: Lungs, like: sitk.Image) -> sitk.Image:
    """The lungs and what is close to them, on the other image's grid."""
    mask = Volume(lungs.mask[np.newaxis].astype(np.uint8), lungs.geometry.ijk_to_ras).to_sitk()
    coarse = sitk.Resample(mask, like, sitk.Transform(), sitk.sitkNearestNeighbor, 0, sitk.sitkUInt8)
    distance = sitk.SignedMaurerDistanceMap(coarse, squaredDistance=False, useImageSpacing=True)
    return distance < AROUND_LUNGS_MM


def _middle_lps(lungs: Lungs) -> np.ndarray:
    """The middle of both lungs in LPS mm."""
    kji = np.argwhere(lungs.mask)
    return RAS_FROM_LPS[:3, :3] @ lungs.geometry.ras_from_ijk(kji.mean(axis=0)[::-1])


def _ras_matrix(transform: sitk.Euler3DTransform) -> np.ndarray:
    """ITK's transform of LPS points as a 4x4 matrix of RAS points."""
    turn = np.array(transform.GetMatrix()).reshape(3, 3)
    center, shift = np.array(transform.GetCenter()), np.array(transform.GetTranslation())
    lps = np.eye(4)
    lps[:3, :3] = turn
    lps[:3, 3] = center + shift - turn @ center
    return RAS_FROM_LPS @ lps @ RAS_FROM_LPS
