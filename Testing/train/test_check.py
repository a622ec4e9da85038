"""The data check: each kind of bad data is found, and good data is left in peace."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import SimpleITK as sitk

from SlicerCNNSegLib.engine.errors import InputError
from SlicerCNNSegLib.engine.progress import NoProgress
from SlicerCNNSegTrainLib.engine.checking.check import check_data
from SlicerCNNSegTrainLib.engine.data.read import read_data
from SlicerCNNSegTrainLib.engine.data.reading import read_cases
from SlicerCNNSegTrainLib.engine.recipe import Recipe


@pytest.fixture
def own(boxes, tmp_path):
    """The ten boxes, to be spoilt."""
    shutil.copytree(boxes, tmp_path / "data")
    return tmp_path / "data"


def change(folder, name, edit, kinds=("imagesTr", "labelsTr")):
    """Let ``edit`` make another image (or None, having changed it) of a case's files."""
    for kind in kinds:
        path = folder / kind / f"{name}.nii.gz"
        image = sitk.ReadImage(path)
        sitk.WriteImage(edit(image) or image, path)


def change_voxels(folder, name, edit, kind="labelsTr"):
    """Let ``edit`` change the array (k, j, i) of a case's label or image in place."""

    def made(image):
        array = sitk.GetArrayFromImage(image)
        edit(array)
        other = sitk.GetImageFromArray(array)
        other.CopyInformation(image)
        return other

    change(folder, name, made, (kind,))


def check(path, recipe=None, **options):
    data = read_data(path, recipe.channel_names if recipe else ())
    return check_data(data, read_cases(data.cases, NoProgress()), recipe, **options)


def the_finding(report, severity, kind):
    """The only finding of that kind, which must have that severity."""
    [finding] = [finding for finding in report.findings if finding.kind == kind]
    assert finding.severity == severity
    return finding


def describe(folder, **description):
    (folder / "dataset.json").write_text(json.dumps(description), encoding="utf-8")


def test_good_data_gives_no_finding_and_right_numbers(boxes, recipe):
    report = check(boxes, recipe)
    assert report.findings == ()
    report.stop_at_errors()
    first = report.cases[0]
    assert (first["case"], first["size"], first["spacing_mm"]) == ("box_00", [18, 16, 14], [1.0, 1.0, 1.5])
    assert first["extent_mm"] == [18.0, 16.0, 21.0]
    assert first["volumes_mm3"] == {"3": 6 * 7 * 7 * 1.5}
    image = sitk.GetArrayFromImage(sitk.ReadImage(boxes / "imagesTr" / "box_00.nii.gz"))
    np.testing.assert_allclose(first["intensities"], [np.percentile(image, [0.5, 50, 99.5])], rtol=1e-5)
    [box] = report.structures
    assert (box["name"], box["cases"], box["volume_mm3"]) == ("Box", 10, [441.0, 441.0, 441.0])
    assert box["share"] == pytest.approx(6 * 7 * 7 / (18 * 16 * 14))
    assert {row["part"] for row in report.cases} == {f"fold {fold}" for fold in range(5)}
    assert json.loads(json.dumps(report.to_json(), allow_nan=False))["errors"] == 0


def test_the_real_cases_have_no_error(data_folder):
    report = check(data_folder / "hippocampus", Recipe.read("hippocampus-mr"))
    assert [(finding.severity, finding.kind) for finding in report.findings] == [("warning", "intensity")]
    assert "70 of 208 cases stick out in intensity" in report.findings[0].message


def test_a_label_of_another_shape(own, recipe):
    change(own, "box_03", lambda image: image[:-1, :, :], ("labelsTr",))
    finding = the_finding(check(own, recipe), "error", "geometry")
    assert finding.cases == ("box_03",)
    assert "the label has 17x16x14 voxels, the image 18x16x14" in finding.message


def test_a_label_with_another_spacing_place_or_direction(own, recipe):
    change(own, "box_03", lambda image: image.SetSpacing((1, 1, 3)), ("labelsTr",))
    change(own, "box_04", lambda image: image.SetOrigin((0, 40, 30)), ("labelsTr",))
    change(own, "box_05", lambda image: sitk.Flip(image, [True, False, False]), ("labelsTr",))
    faults = {f.cases: f.message for f in check(own, recipe).findings if f.kind == "geometry"}
    assert "the label's voxels are 1x1x3 mm, the image's 1x1x1.5 mm" in faults[("box_03",)]
    assert "the label's centre lies 50 mm from the image's" in faults[("box_04",)]
    assert "the label's axes run in other directions than the image's" in faults[("box_05",)]


def test_an_all_zero_label(own, recipe):
    change_voxels(own, "box_03", lambda array: array.fill(0))
    finding = the_finding(check(own, recipe), "error", "empty label")
    assert finding.text.startswith("box_03: the label holds no Box; draw it, remove the case")
    assert the_finding(check(own, recipe, allow_empty=True), "warning", "empty label").cases == ("box_03",)
    for number in range(10):
        change_voxels(own, f"box_{number:02d}", lambda array: array.fill(0))
    assert "the label is all zero" in the_finding(check(own), "error", "empty label").message


def test_a_mislabelled_spacing(own, recipe):
    change(own, "box_03", lambda image: image.SetSpacing((3, 1, 1.5)))
    report = check(own, recipe)
    assert {finding.severity for finding in report.findings} == {"warning"}
    finding = the_finding(report, "warning", "spacing")
    assert finding.cases == ("box_03",)
    assert "the spacing R-L is 3 mm, the median of 10 is 1, robust z 11.5" in finding.message
    assert the_finding(report, "warning", "extent").cases == ("box_03",)
    assert "the volume of Box is 1323 mm3, the median of 10 is 441" in the_finding(report, "warning", "volume").message


def test_a_corrupt_file_does_not_stop_the_others_from_being_checked(own, recipe):
    path = own / "imagesTr" / "box_03.nii.gz"
    path.write_bytes(path.read_bytes()[:2000])
    change_voxels(own, "box_04", lambda array: array.fill(0))
    report = check(own, recipe)
    assert {finding.kind: finding.cases for finding in report.findings} == {
        "unreadable": ("box_03",),
        "empty label": ("box_04",),
    }
    assert set(report.cases[3]) == {"case", "patient", "part"}
    with pytest.raises(InputError, match=r"The data check found: box_03: .*truncated.* \(2 errors in all\)"):
        report.stop_at_errors()


def test_one_case(boxes, tmp_path, recipe):
    for kind in ("imagesTr", "labelsTr"):
        (tmp_path / kind).mkdir()
        shutil.copy(boxes / kind / "box_00.nii.gz", tmp_path / kind)
    finding = the_finding(check(tmp_path, recipe), "error", "division")
    assert "Expected at least 5 patients for 5 folds, got 1" in finding.message


def two_structures(recipe):
    labels = [*recipe.model["labels"], {"value": 4, "name": "Corner", "color": [0.0, 1.0, 0.0]}]
    return replace(recipe, model={**recipe.model, "labels": labels})


def test_a_structure_that_folds_lack(own, recipe):
    change_voxels(own, "box_03", lambda array: array[:2, :2, :2].fill(4))
    report = check(own, two_structures(recipe))
    home = next(row["part"] for row in report.cases if row["case"] == "box_03")
    findings = [finding for finding in report.findings if finding.kind == "missing structure"]
    assert findings[0].severity == "error"
    assert findings[0].text == f"{home}: no training case holds Corner; add cases, or take it out."
    assert [finding.severity for finding in findings[1:]] == ["warning"] * 4
    assert all("no held-out case holds Corner, so it cannot be measured" in finding.text for finding in findings[1:])
    fold = (int(home[-1]) + 1) % 5
    assert the_finding(check(own, two_structures(recipe), fold=fold), "warning", "missing structure").cases == ()


def test_a_fold_that_can_measure_nothing_is_an_error(own, recipe):
    for number in range(10):
        if number != 3:
            change_voxels(own, f"box_{number:02d}", lambda array: array.fill(0))
    report = check(own, recipe, allow_empty=True)
    severities = [finding.severity for finding in report.findings if finding.kind == "missing structure"]
    assert severities == ["error"] * 5


def test_label_values_that_nobody_named(own, recipe):
    change_voxels(own, "box_03", lambda array: array[:2, :2, :2].fill(7))
    message = the_finding(check(own, recipe), "error", "unknown value").text
    assert message.startswith("box_03: label value 7 is one that the recipe and dataset.json do not name")
    describe(own, labels={"background": 0, "box": 3})
    assert "that dataset.json does not name" in the_finding(check(own), "error", "unknown value").message
    describe(own, labels={"background": 0, "box": 3, "vessel": 7})
    assert "label value 7 (vessel) is no structure" in the_finding(check(own, recipe), "warning", "left out").message


def test_without_a_recipe_or_a_description_all_values_are_wanted(own):
    change_voxels(own, "box_03", lambda array: array[:2, :2, :2].fill(7))
    report = check(own)
    assert [(row["name"], row["cases"]) for row in report.structures] == [("label 3", 10), ("label 7", 1)]


def test_images_without_numbers_or_contrast(own, recipe):
    change_voxels(own, "box_03", lambda array: array[:1, :1].fill(np.nan), "imagesTr")
    change_voxels(own, "box_04", lambda array: array.fill(5), "imagesTr")
    report = check(own, recipe)
    assert the_finding(report, "error", "not a number").text.startswith("box_03: 18 voxels are NaN or infinite")
    assert the_finding(report, "error", "constant image").text.startswith("box_04: all voxels of channel 0 are alike")
    assert len(report.findings) == 2


def test_one_image_twice(own, recipe):
    for kind in ("imagesTr", "labelsTr"):
        shutil.copy(own / kind / "box_03.nii.gz", own / kind / "box_10.nii.gz")
    report = check(own, recipe)
    parts = {row["case"]: row["part"] for row in report.cases}
    assert parts["box_03"] != parts["box_10"]
    finding = the_finding(report, "error", "duplicate")
    assert finding.cases == ("box_03", "box_10")
    assert "; remove all but one, or give them one patient" in finding.message
    describe(own, patients={"box_03": "P", "box_10": "P"})
    report = check(own, recipe)
    assert the_finding(report, "warning", "duplicate").cases == ("box_03", "box_10")
    assert len(report.findings) == 1


def test_a_changed_copy(own, recipe):
    for kind in ("imagesTr", "labelsTr"):
        shutil.copy(own / kind / "box_03.nii.gz", own / kind / "box_10.nii.gz")
    change(own, "box_10", lambda image: sitk.Cast(image * 100 + 1000, sitk.sitkInt16), ("imagesTr",))
    change_voxels(own, "box_10", lambda array: array[:1, :1, :1].fill(3))
    report = check(own, recipe)
    finding = the_finding(report, "warning", "near-duplicate")
    assert finding.cases == ("box_03", "box_10")
    assert "images that look like copies of one another, in fold" in finding.message
    describe(own, patients={"box_03": "P", "box_10": "P"})
    assert "near-duplicate" not in [finding.kind for finding in check(own, recipe).findings]


def test_one_label_for_two_images(own, recipe):
    shutil.copy(own / "labelsTr" / "box_03.nii.gz", own / "labelsTr" / "box_04.nii.gz")
    finding = the_finding(check(own, recipe), "warning", "same label")
    assert finding.cases == ("box_03", "box_04")


def test_a_patient_in_two_splits(boxes, tmp_path, recipe):
    lines = ["image,label,patient,split"]
    for number in range(10):
        files = ",".join(str(boxes / kind / f"box_{number:02d}.nii.gz") for kind in ("imagesTr", "labelsTr"))
        lines.append(f"{files},P{number % 9},{'validation' if number == 9 else 'train'}")
    (tmp_path / "cases.csv").write_text("\n".join(lines), encoding="utf-8")
    report = check(tmp_path / "cases.csv", recipe)
    finding = the_finding(report, "error", "patient leak")
    assert finding.cases == ("box_00", "box_09")
    assert "the patient 'P0' is in train and validation; give all cases of a patient one split" in finding.message


def test_an_image_with_other_intensities(own, recipe):
    change(own, "box_03", lambda image: image * 100, ("imagesTr",))
    finding = the_finding(check(own, recipe), "warning", "intensity")
    assert finding.cases == ("box_03",)
    change(own, "box_04", lambda image: image * 100, ("imagesTr",))
    finding = the_finding(check(own, recipe), "warning", "intensity")
    assert finding.cases == ("box_03", "box_04")
    assert "2 of 10 cases stick out in intensity, for example: the " in finding.message


def test_other_channels_than_the_recipes(own, recipe):
    channels = [{"name": name, "modality": "MR", "description": name} for name in ("T1", "FLAIR")]
    both = replace(recipe, model={**recipe.model, "channels": channels})
    describe(own, channel_names={"0": "FLAIR", "1": "T1"})
    by_kind = [finding for finding in check(own, both).findings if finding.kind == "channels"]
    assert "expected the 2 channels that the recipe has (T1, FLAIR); add or take away files" in by_kind[0].message
    assert len(by_kind[0].cases) == 10
    assert "dataset.json orders the channels FLAIR, T1, the recipe T1, FLAIR" in by_kind[1].message
    assert "channels that dataset.json names (FLAIR, T1)" in the_finding(check(own), "error", "channels").message
