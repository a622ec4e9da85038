"""What a case is: paths, tables, channels, ids."""

from pathlib import Path

import pytest
from tiny_cases import write_blob

from SlicerCNNSegLib.engine.cohort.cases import case_from_channels, cases_from_paths
from SlicerCNNSegLib.engine.errors import FileReadError, RegionError, SettingsError
from SlicerCNNSegLib.engine.region import Region

CHANNELS = ("T1", "FLAIR")


@pytest.fixture
def folder(tmp_path):
    for name in ("a.nii.gz", "b.nrrd", "sub-01/T1.nii.gz", "sub-02/T1.nii.gz"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"not read here")
    return tmp_path


def table(folder: Path, text: str) -> Path:
    path = folder / "cases.csv"
    path.write_text(text, encoding="utf-8")
    return path


def ids(cases) -> list[str]:
    return [case.id for case in cases]


def test_a_case_is_named_after_its_file(folder):
    cases = cases_from_paths([folder / "b.nrrd", folder / "a.nii.gz"])
    assert ids(cases) == ["b", "a"]
    assert cases[0].files == (("", folder / "b.nrrd"),)
    assert str(cases[0]) == str(folder / "b.nrrd")


def test_files_of_one_name_get_their_folders_name(folder):
    paths = [folder / "sub-01" / "T1.nii.gz", folder / "a.nii.gz", folder / "sub-02" / "T1.nii.gz"]
    assert ids(cases_from_paths(paths)) == ["sub-01_T1", "a", "sub-02_T1"]


def test_ids_are_compared_without_case(folder):
    (folder / "sub-01" / "A.nii.gz").write_bytes(b"")
    paths = [folder / "sub-01" / "A.nii.gz", folder / "a.nii.gz"]
    assert ids(cases_from_paths(paths)) == ["sub-01_A", f"{folder.name}_a"]


def test_one_input_given_twice_is_refused(folder):
    with pytest.raises(SettingsError, match=r"Two inputs have the case id .*_a': .*a\.nii\.gz and .*a\.nii\.gz"):
        cases_from_paths([folder / "a.nii.gz", folder / "a.nii.gz"])


def test_a_missing_path_is_named(folder):
    with pytest.raises(FileReadError, match=r"There is no file or folder .*absent\.nii\.gz"):
        cases_from_paths([folder / "absent.nii.gz"])


def test_a_folder_of_images_is_a_case_for_each(folder):
    (folder / "old.seg.nrrd").write_bytes(b"a segmentation is no image")
    (folder / ".hidden.nii.gz").write_bytes(b"")
    assert ids(cases_from_paths([folder])) == ["a", "b"]


def test_a_folder_with_dicom_files_is_one_case(folder):
    (folder / "IM0001").write_bytes(bytes(128) + b"DICM" + bytes(64))
    cases = cases_from_paths([folder])
    assert ids(cases) == [folder.name]
    assert cases[0].files == (("", folder),)


def test_a_table_names_cases_series_and_regions(folder):
    text = 'case,image,series,roi,roi_ras\nfirst,a.nii.gz,1.2.3,,"left=-44,-9,-45,6,-35,5 right=9,44,-45,6,-35,5"\n'
    text += '"se/cond",b.nrrd,,"0,5,0,5,0,5",\n\n,sub-01/T1.nii.gz,,,\n'
    first, second, third = cases_from_paths([table(folder, text)])
    assert (first.id, first.series, first.files) == ("first", "1.2.3", (("", folder / "a.nii.gz"),))
    assert first.regions == (
        Region("ras", (-44, -9, -45, 6, -35, 5), "left"),
        Region("ras", (9, 44, -45, 6, -35, 5), "right"),
    )
    assert second.id == "se_cond"  # a cell never becomes a path
    assert second.regions == (Region("ijk", (0, 5, 0, 5, 0, 5)),)
    assert third.id == "T1"
    assert third.regions == ()


@pytest.mark.parametrize("separator", [";", "\t"])
def test_a_table_may_use_another_separator_and_a_byte_order_mark(folder, separator):
    path = table(folder, f"\ufeffcase{separator}image\nx{separator}a.nii.gz\n")
    assert ids(cases_from_paths([path])) == ["x"]


def test_a_table_with_a_column_for_each_channel_gives_them_in_the_models_order(folder):
    path = table(folder, "FLAIR,T1\nb.nrrd,a.nii.gz\n")
    (case,) = cases_from_paths([path], CHANNELS)
    assert case.files == (("T1", folder / "a.nii.gz"), ("FLAIR", folder / "b.nrrd"))
    assert case.id == "a"


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("image,sex\na.nii.gz,f\n", SettingsError, "unknown column 'sex'; expected some of image, case, series"),
        ("image,T1\na.nii.gz,b.nrrd\n", SettingsError, "unknown column 'T1'"),
        ("case,T1\nx,a.nii.gz\n", SettingsError, "lacks the column 'FLAIR'; .*T1, FLAIR"),
        ("", SettingsError, "lacks the column"),
        ("image\n", SettingsError, "lists no case"),
        ("case,image\nx,a.nii.gz\ny,\n", SettingsError, r"cases\.csv, row 3 has no file in the column 'image'"),
        ("image,roi\na.nii.gz,0,5,0,5,0,5\n", SettingsError, "row 2 has more cells .* double quotes"),
        ('image,roi\na.nii.gz,"0,5"\n', SettingsError, "Expected a region as"),
        ('image,roi\na.nii.gz,"5,5,0,5,0,5"\n', RegionError, "is empty"),
        ("image\nabsent.nii.gz\n", FileReadError, "no file or folder .*absent"),
    ],
)
def test_a_wrong_table_is_refused_with_its_place(folder, text, error, message):
    with pytest.raises(error, match=message):
        cases_from_paths([table(folder, text)], CHANNELS)


def test_a_table_that_is_no_text_is_refused(folder):
    path = folder / "cases.csv"
    path.write_bytes(b"\xff\xfe\x00\x81")
    with pytest.raises(FileReadError, match=r"cannot be read as a table .* UTF-8"):
        cases_from_paths([path])


def test_channels_make_one_case_in_the_models_order(folder):
    files = [("FLAIR", folder / "b.nrrd"), ("T1", folder / "a.nii.gz")]
    case = case_from_channels(files, CHANNELS)
    assert case.id == "a"
    assert [name for name, _ in case.files] == ["T1", "FLAIR"]


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["T1", "T2"], "no channel 'T2'; its channels are T1, FLAIR"),
        (["T1", "T1"], "channel 'T1' is given twice"),
        (["T1"], "needs the channels T1, FLAIR; FLAIR missing"),
    ],
)
def test_wrong_channels_are_refused(folder, names, message):
    with pytest.raises(SettingsError, match=message):
        case_from_channels([(name, write_blob(folder / "c.nii.gz")) for name in names], CHANNELS)


def test_a_channels_missing_file_is_named(folder):
    with pytest.raises(FileReadError, match=r"no file or folder .*absent"):
        case_from_channels([("T1", folder / "absent.nii.gz")], ("T1",))
