"""The report's picture: what is where, in which words."""

from dataclasses import replace

import nibabel
import numpy as np
import pytest
from matplotlib.image import imread
from matplotlib.patches import Rectangle

from SlicerCNNSegLib.engine.errors import GeometryError, OutputError
from SlicerCNNSegLib.engine.labels import Label
from SlicerCNNSegLib.engine.picture.report import draw_overlay, write_overlay
from SlicerCNNSegLib.engine.picture.style import DPI, WIDTH
from SlicerCNNSegLib.engine.result import RunRecord, SegmentationResult
from SlicerCNNSegLib.engine.volume import Volume

ORANGE, BLUE = (1.0, 0.55, 0.0), (0.2, 0.6, 1.0)
LABELS = (Label(1, "Right front", ORANGE), Label(2, "Left back", BLUE))
SIZE = (40, 48, 32)
RECORD = RunRecord(
    task="segmentation",
    model_id="two-blocks",
    model_version="1.2.0",
    model_sha256="0" * 64,
    settings={},
    device="cpu",
    precision="fp32",
    versions={},
    inputs=(),
    seconds={},
    warnings=(),
    started="2026-03-04T05:06:07+00:00",
)


def a_case(spacing_mm=(1.0, 1.0, 1.0), *, found=True, small=False, size=SIZE):
    """Image, labelmap and matrix, axes in R, A, S order.

    Label 1 is right, anterior and superior of label 2, and they overlap so far that a plane cuts
    both; the image's grey rises to the right.
    """
    image = np.zeros(size, np.float32) + np.linspace(0, 100, size[0])[:, None, None]
    labelmap = np.zeros(size, np.uint8)
    if found:
        center = np.array(size) // 2
        half, offset = (np.full(3, 3), np.full(3, 2)) if small else (center // 2, center * 2 // 5)
        for value, middle in ((2, center - offset), (1, center + offset)):
            labelmap[tuple(slice(a, b) for a, b in zip(middle - half, middle + half, strict=True))] = value
    return image, labelmap, np.diag([*spacing_mm, 1.0])


def volume_and_result(image_ijk, labelmap_ijk, ijk_to_ras, labels=LABELS, source="/data/head.nii.gz"):
    volume = Volume(image_ijk.transpose(2, 1, 0)[None], ijk_to_ras, source=source)
    return volume, SegmentationResult(labelmap_ijk.transpose(2, 1, 0), volume.geometry, labels, RECORD)


def pixels(figure):
    figure.canvas.draw()
    return np.asarray(figure.canvas.buffer_rgba())[..., :3].astype(float) / 255


def where(figure, color, panel=0):
    """Mean (x, y) of a label's outline in a panel: shares of its width and height from the top left."""
    picture, box = pixels(figure), figure.axes[panel].get_position()
    rows, columns = picture.shape[:2]
    part = picture[
        round((1 - box.y1) * rows) : round((1 - box.y0) * rows), round(box.x0 * columns) : round(box.x1 * columns)
    ]
    y, x = np.nonzero(np.abs(part - color).max(axis=-1) < 0.06)
    assert x.size > 20
    return x.mean() / part.shape[1], y.mean() / part.shape[0]


def words(figure):
    return [text.get_text() for text in figure.texts]


def test_right_anterior_and_superior_are_left_and_up():
    figure = draw_overlay(*volume_and_result(*a_case()))
    assert [axes.get_title(loc="left").split(",")[0] for axes in figure.axes] == ["Axial", "Coronal", "Sagittal"]
    for panel in range(3):  # in the sagittal plane, anterior is left
        for color, side in ((ORANGE, 1), (BLUE, -1)):
            x, y = where(figure, color, panel)
            assert side * (0.5 - x) > 0.05
            assert side * (0.5 - y) > 0.05


@pytest.mark.parametrize("codes", ["LPS", "RIA", "SAL", "PSR", "AIL"])
def test_any_orientation_gives_the_same_picture(codes):
    image, labelmap, matrix = a_case((1.0, 1.5, 2.0))
    canonical = pixels(draw_overlay(*volume_and_result(image, labelmap, matrix)))
    turn = nibabel.orientations.ornt_transform(
        nibabel.orientations.axcodes2ornt("RAS"), nibabel.orientations.axcodes2ornt(codes)
    )
    turned = [nibabel.orientations.apply_orientation(array, turn) for array in (image, labelmap)]
    turned_matrix = matrix @ nibabel.orientations.inv_ornt_aff(turn, image.shape)
    assert "".join(nibabel.aff2axcodes(turned_matrix)) == codes
    np.testing.assert_array_equal(pixels(draw_overlay(*volume_and_result(*turned, turned_matrix))), canonical)


def test_shapes_are_right_whatever_the_spacing():
    # 40 x 48 x 32 mm in two samplings, with the same blocks
    image, labelmap, matrix = a_case((1.0, 1.0, 1.0))
    coarse = image[:, :, ::2], labelmap[:, :, ::2], matrix @ np.diag([1, 1, 2, 1])
    heights = []
    for case in ((image, labelmap, matrix), coarse):
        axes = draw_overlay(*volume_and_result(*case)).axes[1]
        (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
        box = axes.get_window_extent()
        assert (right - left) / box.width == pytest.approx((bottom - top) / box.height)  # mm per dot
        heights.append(axes.images[0].get_extent())
    assert heights[0] == heights[1] == [0.0, 40.0, 32.0, 0.0]


def test_letters_name_the_directions():
    figure = draw_overlay(*volume_and_result(*a_case()))
    letters = ["".join(text.get_text() for text in axes.texts if len(text.get_text()) == 1) for axes in figure.axes]
    assert letters == ["RLAP", "RLSI", "APSI"]


def test_words_tell_source_model_date_and_volumes():
    figure = draw_overlay(*volume_and_result(*a_case()))
    assert words(figure) == [
        "head.nii.gz",
        "two-blocks 1.2.0, 2026-03-04 05:06",
        "Radiological convention: the patient's right is on the picture's left",
        "Right front",
        "7,680 mm³",
        "Left back",
        "7,584 mm³",
    ]
    assert [text.get_text() for text in figure.axes[0].texts][-1] == "10 mm"


def test_scale_bar_is_as_long_as_it_says():
    axes = draw_overlay(*volume_and_result(*a_case((3.0, 3.0, 3.0)))).axes[0]
    (bar,) = axes.lines
    share = np.ptp(bar.get_xdata())
    assert axes.texts[-1].get_text() == "20 mm"
    assert share * abs(np.diff(axes.get_xlim())[0]) == pytest.approx(20.0)


def test_large_volumes_are_told_in_millilitres():
    figure = draw_overlay(*volume_and_result(*a_case((4.0, 4.0, 4.0))))
    assert "491.5 mL" in words(figure)


def test_nothing_found_is_said():
    figure = draw_overlay(*volume_and_result(*a_case(found=False)))
    assert words(figure)[-1] == "Nothing found. Looked for: Right front, Left back"
    assert len(figure.axes) == 3


def test_absent_structures_are_named():
    image, labelmap, matrix = a_case()
    figure = draw_overlay(*volume_and_result(image, labelmap * (labelmap == 1), matrix))
    assert words(figure)[-3:] == ["Right front", "7,680 mm³", "Not found: Left back"]


def test_more_structures_than_there_is_room_for_are_counted():
    image, labelmap, matrix = a_case(found=False)
    labels = tuple(Label(value, f"Structure {value}", ORANGE) for value in range(1, 31))
    for label in labels:
        labelmap[label.value, : label.value, 0] = label.value
    texts = words(draw_overlay(*volume_and_result(image, labelmap, matrix, labels)))
    assert "Structure 30" in texts
    assert "Structure 6" not in texts
    assert texts[-1] == "and 6 smaller structures; the table of volumes lists them all"


def test_long_names_stay_inside_the_picture():
    labels = (Label(1, "A structure " * 20, ORANGE), Label(2, "Another " * 30, BLUE))
    volume, result = volume_and_result(*a_case(), labels, source="/data/" + "name_" * 60 + ".nii.gz")
    figure = draw_overlay(volume, result)
    figure.canvas.draw()
    width = figure.bbox.width
    for text in figure.texts:
        box = text.get_window_extent()
        assert box.x0 >= 0, text.get_text()
        assert box.x1 <= width, text.get_text()
    names, volumes = figure.texts[3::2], figure.texts[4::2]
    for name, volume_text in zip(names, volumes, strict=True):
        assert name.get_window_extent().x1 < volume_text.get_window_extent().x0


def test_small_structures_are_shown_larger_below():
    figure = draw_overlay(*volume_and_result(*a_case(small=True, size=(120, 120, 100))))
    assert len(figure.axes) == 6
    for whole, zoomed in zip(figure.axes[:3], figure.axes[3:], strict=True):
        (box,) = whole.patches
        (left, right), (bottom, top) = zoomed.get_xlim(), zoomed.get_ylim()
        assert (box.get_x(), box.get_y(), box.get_width(), box.get_height()) == pytest.approx(
            (left, top, right - left, bottom - top)
        )
        zoom = abs(np.diff(whole.get_xlim())[0]) / (right - left)
        assert f"{zoom:.1f} times larger" in zoomed.get_title(loc="left")
        assert zoom > 1.8
    assert len(draw_overlay(*volume_and_result(*a_case())).axes) == 3


@pytest.mark.parametrize(("flat_axis", "name"), [(0, "Sagittal"), (1, "Coronal"), (2, "Axial")])
def test_single_slice_is_shown_alone_in_its_plane(flat_axis, name):
    image, labelmap, matrix = a_case()
    middle = SIZE[flat_axis] // 2
    flat = [array.take([middle], axis=flat_axis) for array in (image, labelmap)]
    figure = draw_overlay(*volume_and_result(*flat, matrix))
    titles = [axes.get_title(loc="left").split(",")[0] for axes in figure.axes]
    assert titles == [name]


def test_single_slice_has_its_zoomed_panel_beside_it():
    image, labelmap, matrix = a_case(found=False, size=(100, 100, 1))
    labelmap[50:60, 50:60] = 1
    whole, zoomed = draw_overlay(*volume_and_result(image, labelmap, matrix)).axes
    assert whole.get_position().y0 == zoomed.get_position().y0
    assert len(whole.lines) == len(zoomed.lines) == 1  # each has a scale bar of its own


def test_oblique_image_is_said_to_be_oblique():
    image, labelmap, matrix = a_case()
    turn = np.deg2rad(20)
    rotation = np.eye(4)
    rotation[:2, :2] = [[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]
    figure = draw_overlay(*volume_and_result(image, labelmap, rotation @ matrix))
    assert words(figure)[2].endswith("picture's left; oblique image, shown along its own axes")
    assert figure.axes[0].get_title(loc="left") == "Axial"
    straight = draw_overlay(*volume_and_result(image, labelmap, matrix))
    assert straight.axes[0].get_title(loc="left").startswith("Axial, S ")


def test_first_of_several_channels_is_named():
    volume, result = volume_and_result(*a_case())
    volume = replace(volume, array=np.concatenate([volume.array] * 2), channel_names=("T1", "FLAIR"))
    assert words(draw_overlay(volume, result))[1].endswith(", on channel T1 of 2")


def test_dark_labels_are_lightened_and_bright_ones_kept():
    image, labelmap, matrix = a_case()
    labels = (Label(1, "Dark", (0.0, 0.0, 0.3)), LABELS[1])
    figure = draw_overlay(*volume_and_result(image, labelmap, matrix, labels))
    dark, bright = (patch.get_facecolor()[:3] for patch in figure.artists if isinstance(patch, Rectangle))
    assert np.dot(dark, (0.2126, 0.7152, 0.0722)) == pytest.approx(0.3)
    assert bright == pytest.approx(BLUE)


def test_ct_has_its_usual_windows():
    image, labelmap, matrix = a_case()
    tissue = image - 60
    tissue[:4] = -1000
    assert draw_overlay(*volume_and_result(tissue, labelmap, matrix)).axes[0].images[0].get_clim() == (-160, 240)
    lung = np.where(labelmap > 0, -800, tissue)
    assert draw_overlay(*volume_and_result(lung, labelmap, matrix)).axes[0].images[0].get_clim() == (-1350, 150)


def test_other_images_have_a_window_of_percentiles_without_undefined_voxels():
    image, labelmap, matrix = a_case()
    image[0, 0, 0], image[1, 1, 1] = np.nan, 1e9
    low, high = draw_overlay(*volume_and_result(image, labelmap, matrix)).axes[0].images[0].get_clim()
    assert -1 <= low <= 5
    assert 100 <= high <= 120


def test_png_has_the_size_for_print_and_appears_whole(tmp_path):
    path = tmp_path / "new folder" / "case.png"
    write_overlay(path, *volume_and_result(*a_case()))
    picture = imread(path)
    assert picture.shape[1] == WIDTH * DPI == 1800
    assert list(path.parent.iterdir()) == [path]


def test_failure_leaves_the_old_picture(tmp_path, monkeypatch):
    path = tmp_path / "case.png"
    path.write_bytes(b"old")

    def run_dry(self, file, **options):
        file.write_bytes(b"half")
        raise OSError(28, "No space left on device", str(file))

    monkeypatch.setattr("matplotlib.figure.Figure.savefig", run_dry)
    with pytest.raises(OutputError, match=r"Cannot write .*case.png: No space left on device"):
        write_overlay(path, *volume_and_result(*a_case()))
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_refuses_a_result_on_another_grid(tmp_path):
    volume, _ = volume_and_result(*a_case())
    image, labelmap, matrix = a_case()
    _, other = volume_and_result(image[:-1], labelmap[:-1], matrix)
    with pytest.raises(GeometryError, match=r"on the image's own grid of \(40, 48, 32\) voxels, got one on another"):
        write_overlay(tmp_path / "case.png", volume, other)
