"""Volumes and diameters of inserted nodules of known size, in real lung and in plain surroundings."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import SimpleITK as sitk
from nodule_phantoms import FREE, PLEURA, VESSEL, Nodule, insert, places, random_nodule, wall_mask
from scipy.spatial.transform import Rotation

from SlicerCNNSegLib.engine.errors import GeometryError
from SlicerCNNSegLib.engine.findings.boxes import OrientedBox
from SlicerCNNSegLib.engine.findings.finding import KINDS, NON_SOLID, PART_SOLID, SOLID
from SlicerCNNSegLib.engine.findings.measure import axial_diameters, measure
from SlicerCNNSegLib.engine.volume import Geometry, Volume

PER_SIZE = {5.0: FREE, 8.0: VESSEL, 12.0: PLEURA, 16.0: VESSEL}


def plain_lung(spacing=(0.8, 0.8, 1.5), axes=None, size=(64, 64, 40)) -> Volume:
    matrix = np.eye(4)
    matrix[:3, :3] = (np.eye(3) if axes is None else axes) * np.asarray(spacing)
    noise = np.random.default_rng(0).normal(0, 20, size[::-1])
    return Volume((-850 + noise)[np.newaxis].astype(np.float32), matrix, modality="CT")


def middle_of(volume: Volume) -> np.ndarray:
    return volume.geometry.ras_from_ijk((np.array(volume.geometry.size_ijk) - 1) / 2)


@pytest.fixture(scope="module")
def chest(data_folder) -> tuple[Volume, np.ndarray]:
    """The left lung of a real CT, and its wall."""
    path = data_folder / "totalsegmentator_samples" / "pulmonary_ct_cropped.nii.gz"
    volume = Volume.from_sitk(sitk.ReadImage(str(path))).cropped((62, 0, 30), (122, 102, 90))
    return volume, wall_mask(volume.array[0], volume.geometry)


@pytest.mark.parametrize("kind", KINDS)
def test_inserted_nodules_in_real_lung(chest, kind):
    """Free, at vessels and at the pleura; volume error median under 15 %, and diameters within a voxel."""
    volume, wall = chest
    rng = np.random.default_rng(7)
    volumes, diameters = [], []
    for diameter_mm, touching in PER_SIZE.items():
        radius_mm = diameter_mm / 2 * 1.15
        (center,) = places(volume, ~wall, rng, 1, radius_mm=radius_mm, touching=touching, wall=wall)
        phantom = insert(volume, [random_nodule(rng, center, kind=kind, diameter_mm=diameter_mm)], rng, wall=wall)
        truth = phantom.truths[0]
        measured = measure(phantom.volume, truth.box)
        assert measured is not None
        volumes.append(measured[0].volume_mm3 / truth.volume_mm3 - 1)
        true_mm = axial_diameters(phantom.labelmap == truth.value, volume.geometry)
        diameters.append(measured[0].mean_diameter_mm - np.mean(true_mm))
    assert np.median(np.abs(volumes)) < 0.15
    assert np.median(np.abs(diameters)) < 1.5  # a voxel


@pytest.mark.parametrize("diameter_mm", [4.0, 6.0, 10.0, 20.0, 30.0])
def test_balls_against_the_closed_form(diameter_mm):
    volume = plain_lung()
    ball = Nodule(tuple(middle_of(volume) + np.array([0.2, -0.3, 0.4])), (diameter_mm,) * 3)
    phantom = insert(volume, [ball], np.random.default_rng(1))
    exact_mm3 = np.pi / 6 * diameter_mm**3
    assert phantom.truths[0].volume_mm3 == pytest.approx(exact_mm3, rel=0.02)
    measurements, nodule = measure(phantom.volume, phantom.truths[0].box)
    assert measurements.kind == SOLID
    assert measurements.volume_mm3 == pytest.approx(exact_mm3, rel=0.10)
    assert measurements.longest_mm == pytest.approx(diameter_mm, abs=0.8)
    assert measurements.perpendicular_mm == pytest.approx(diameter_mm, abs=0.8)
    assert measurements.solid_mean_mm == measurements.mean_diameter_mm
    assert measurements.mean_hu <= 60
    assert measurements.min_hu < measurements.mean_hu
    overlap = nodule.on(volume.geometry) & (phantom.labelmap == 1)
    assert 2 * overlap.sum() / (nodule.on(volume.geometry).sum() + (phantom.labelmap == 1).sum()) > 0.8


@pytest.mark.parametrize("kind", KINDS)
def test_the_middle_is_found_from_a_box_beside_it(kind):
    """From boxes that are off by 1.5 mm to less than a third of that, in a volume stored sagittally."""
    volume = plain_lung((1.5, 0.8, 0.8), np.eye(3)[:, [1, 2, 0]], (40, 64, 64))
    here = middle_of(volume) + np.array([0.2, -0.3, 0.4])
    phantom = insert(volume, [Nodule(tuple(here), (14, 12, 10), kind, hu=30 if kind == SOLID else -600)], rng_of(2))
    rng = rng_of(3)
    for _ in range(4):
        aside = rng.normal(size=3)
        box = replace(phantom.truths[0].box, center_ras_mm=tuple(here + 1.5 * aside / np.linalg.norm(aside)))
        _, nodule = measure(phantom.volume, box)
        assert np.linalg.norm(nodule.center_ras_mm - here) < 0.5


def rng_of(seed):
    return np.random.default_rng(seed)


def test_diameters_are_of_the_axial_plane_in_any_orientation():
    """An ellipsoid of 16 x 10 x 24 mm along R, A, S in a volume stored sagittally: 16 x 10 mm."""
    axes = np.eye(3)[:, [1, 2, 0]]  # i runs to A, j to S, k to R
    volume = plain_lung((1, 1, 1), axes, (50, 50, 50))
    phantom = insert(volume, [Nodule(tuple(middle_of(volume)), (16, 10, 24))], np.random.default_rng(0))
    measurements, _ = measure(phantom.volume, phantom.truths[0].box)
    assert measurements.longest_mm == pytest.approx(16, abs=0.8)
    assert measurements.perpendicular_mm == pytest.approx(10, abs=0.8)


def test_kinds_and_solid_parts():
    volume = plain_lung()
    here = tuple(middle_of(volume))
    rng = np.random.default_rng(0)
    part = insert(volume, [Nodule(here, (16, 16, 16), PART_SOLID, hu=-600, core_share=0.5)], rng)
    measurements, nodule = measure(part.volume, part.truths[0].box)
    assert measurements.kind == PART_SOLID
    assert measurements.volume_mm3 == pytest.approx(np.pi / 6 * 16**3, rel=0.15)
    assert measurements.solid_mean_mm == pytest.approx(8, abs=1.5)
    assert (nodule.solid & ~nodule.whole).sum() == 0
    glass = insert(volume, [Nodule(here, (16, 16, 16), NON_SOLID, hu=-600)], rng)
    measurements, _ = measure(glass.volume, glass.truths[0].box)
    assert measurements.kind == NON_SOLID
    assert measurements.solid_volume_mm3 == measurements.solid_mean_mm == 0
    assert measurements.volume_mm3 == pytest.approx(np.pi / 6 * 16**3, rel=0.10)
    assert measurements.mean_hu == pytest.approx(-600, abs=40)


def test_a_vessel_is_no_part_of_its_nodule():
    volume = plain_lung()
    bare = Nodule(tuple(middle_of(volume)), (12, 12, 12))
    phantom = insert(volume, [replace(bare, vessel_mm=3.0, seed=4)], np.random.default_rng(0))
    too_large = OrientedBox(bare.center_ras_mm, (18, 18, 18))  # the vessel runs through 4 mm of it
    measurements, nodule = measure(phantom.volume, too_large)
    assert measurements.volume_mm3 == pytest.approx(np.pi / 6 * 12**3, rel=0.12)
    indices = np.argwhere(nodule.whole)[:, ::-1]
    assert bare.depth(nodule.geometry.ras_from_ijk(indices)).max() < 1.35


def test_nothing_stands_out_of_plain_lung():
    volume = plain_lung()
    assert measure(volume, OrientedBox(tuple(middle_of(volume)), (10, 10, 10))) is None


@pytest.mark.parametrize("edge", [0.01, 0.3])
def test_a_box_thinner_than_a_voxel_has_nothing_to_measure(edge):
    volume = plain_lung()
    assert measure(volume, OrientedBox(tuple(middle_of(volume) + 0.17), (edge, edge, edge))) is None


def test_boxes_anywhere_are_measured_or_not_and_break_nothing(chest):
    """A detector's weak candidates: on vessels, in plain lung, thinner than a voxel."""
    volume, random, kinds = chest[0], np.random.default_rng(0), []
    size = np.array(volume.geometry.size_ijk)
    for _ in range(120):
        middle = volume.geometry.ras_from_ijk(random.uniform(0.25, 0.75, 3) * size)
        edges = np.exp(random.uniform(np.log(0.4), np.log(16))) * np.exp(random.normal(0, 0.5, 3))
        found = measure(volume, OrientedBox(tuple(middle), tuple(edges)))
        kinds.append(None if found is None else found[0].kind)
        assert found is None or found[0].volume_mm3 > 0
    assert kinds.count(None) > 20
    assert SOLID in kinds


def test_a_box_outside_of_the_image():
    with pytest.raises(GeometryError, match="lies outside of the image"):
        measure(plain_lung(), OrientedBox((500, 0, 0), (10, 10, 10)))


def test_diameters_of_an_oblique_rectangle():
    """9 x 4 mm, turned by 30 degrees in the axial plane of a turned grid: the diagonal, and the extent across it."""
    turn = Rotation.from_euler("z", 20, degrees=True).as_matrix()
    matrix = np.eye(4)
    matrix[:3, :3] = turn * 0.1
    geometry = Geometry((3, 160, 160), matrix)
    j, i = np.mgrid[:160, :160] * 0.1 - 8
    angle = np.radians(30)
    u, w = i * np.cos(angle) + j * np.sin(angle), -i * np.sin(angle) + j * np.cos(angle)
    mask = np.zeros(geometry.shape_kji, dtype=bool)
    mask[1] = (np.abs(u) <= 4.5) & (np.abs(w) <= 2)
    diagonal = np.hypot(9, 4)
    longest, perpendicular = axial_diameters(mask, geometry)
    assert longest == pytest.approx(diagonal, abs=0.15)
    assert perpendicular == pytest.approx(2 * 9 * 4 / diagonal, abs=0.15)  # both other corners are 36 / diagonal away
