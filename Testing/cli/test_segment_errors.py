"""``cnnseg segment`` when something is wrong: one line, the right exit status, nothing half-written."""

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from tiny_cases import blob_array, files_in, write_blob, write_image

from SlicerCNNSegLib.engine.picture import report

NOT_WRITABLE = "file/out"
"""A folder inside a file: not even an administrator can write there."""


class TestWhatIsKnownBeforeTheFirstCase:
    """Exit status 2, one line, nothing begun."""

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (["{a}", "--model", "absent"], "No model 'absent': expected one of"),
            (["{in}/absent.nii.gz"], "There is no file or folder"),
            (["{a}", "{in}/absent.nii.gz"], "There is no file or folder"),
            (["{a}", "--roi", "1,2,3"], "Expected a region as [NAME=]low,high,low,high,low,high, got '1,2,3'"),
            (["{a}", "--roi", "5,5,0,5,0,5"], "The region ijk:5,5,0,5,0,5 is empty"),
            (["{a}", "--roi-ras", "-5,-9,0,5,0,5"], "The region ras:-5,-9,0,5,0,5 is empty"),
            (["{a}", "--roi", "0,nan,0,5,0,5"], "Expected six finite bounds"),
            (["{a}", "--device", "tpu"], "Expected a device out of auto, cpu, cuda, mps or cuda:N, got 'tpu'"),
            (["{a}", "--precision", "int8"], "Expected a precision out of"),
            (["{a}", "--overlap", "1"], "Expected an overlap from 0 to below 1, got 1.0"),
            (["{a}", "--overlap", "much"], "invalid float value: 'much'"),
            (["{a}", "--channel", "T1={a}"], "Expected either INPUT or --channel"),
            ([], "Expected either INPUT or --channel"),
            (["--channel", "T2={a}"], "The model has no channel 'T2'; its channels are T1"),
            (["--channel", "T1"], "Expected --channel NAME=FILE, got 'T1'"),
            (["--channel", "T1={a}", "--model", "pair"], "needs the channels T1, FLAIR; FLAIR missing"),
            (["{a}", "{b}", "--series", "1.2.3"], "--series needs one DICOM folder as INPUT, got 2 cases"),
            (["{a}", "{a}"], "Two inputs have the case id 'in_a'"),
        ],
    )
    def test_wrong_usage(self, cnnseg, images, out, arguments, message):
        places = {"in": images[0].parent, "a": images[0], "b": images[1]}
        line = [argument.format(**places) for argument in arguments]
        if "--model" not in line:
            line += ["--model", "blob"]
        cnnseg("segment", *line, "-o", out).assert_refused(2, message)
        assert files_in(out) == []

    @pytest.mark.parametrize(
        ("output", "message"),
        [
            (NOT_WRITABLE, "Cannot write to the folder"),
            (f"{NOT_WRITABLE}/x.nii.gz", "Cannot write to the folder"),
            ("file", "Cannot write to the folder"),
        ],
    )
    def test_an_output_that_cannot_be_written(self, cnnseg, images, tmp_path, output, message):
        (tmp_path / "file").write_text("in the way")
        cnnseg("segment", images[0], "-o", tmp_path / output, "--model", "blob").assert_refused(2, message)

    def test_a_file_for_several_cases(self, cnnseg, images, out):
        outcome = cnnseg("segment", *images, "-o", out / "x.nii.gz", "--model", "blob")
        outcome.assert_refused(2, "Expected a folder for the outputs of 3 cases, got the file")

    def test_a_file_of_another_format(self, cnnseg, images, out):
        outcome = cnnseg("segment", images[0], "-o", out / "x.nii.gz", "--format", "mha", "--model", "blob")
        outcome.assert_refused(2, "says nii.gz, --format mha; name a folder to have both")

    @pytest.mark.parametrize("output", ["in", "in/a.nii.gz"])
    def test_an_output_over_an_input(self, cnnseg, images, tmp_path, output):
        before = images[0].read_bytes()
        outcome = cnnseg("segment", images[0], "-o", tmp_path / output, "--format", "nii.gz", "--model", "blob")
        outcome.assert_refused(2, "would overwrite an input; choose another folder with -o")
        assert images[0].read_bytes() == before

    def test_a_model_of_another_task(self, cnnseg, images, out, models):
        path = models / "blob" / "configs" / "metadata.json"
        path.write_text(path.read_text().replace('"segmentation"', '"detection"'))
        outcome = cnnseg("segment", images[0], "-o", out, "--model", "blob")
        outcome.assert_refused(2, "The model blob is for detection; choose one for segmentation.")

    def test_a_broken_model(self, cnnseg, images, out, models):
        (models / "blob" / "configs" / "inference.json").unlink()
        outcome = cnnseg("segment", images[0], "-o", out, "--model", "blob")
        outcome.assert_refused(2, "The model blob lacks configs/inference.json")


def truncated(path: Path) -> Path:
    write_blob(path)
    path.write_bytes(path.read_bytes()[:-2000])
    return path


def no_dicom(path: Path) -> Path:
    path = path.with_name("folder")
    path.mkdir(parents=True)
    (path / "notes.txt").write_text("no image")
    return path


def nan(path: Path) -> Path:
    array = blob_array()
    array[0, 0, :3] = np.nan
    return write_image(path, array)


def hounsfield(path: Path) -> Path:
    return write_image(path, (blob_array() * 10 - 1000).astype(np.int16))


def two_channels(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = sitk.GetImageFromArray(np.stack([blob_array(), blob_array()], axis=-1), isVector=True)
    sitk.WriteImage(image, str(path))
    return path


FAULTS = {
    "truncated": (truncated, [], "truncated"),
    "no image": (lambda path: path.write_text("hello") and path, [], "bad.nii.gz"),
    "empty file": (lambda path: path.write_bytes(b"") or path, [], "bad.nii.gz"),
    "folder without DICOM": (no_dicom, [], "DICOM"),
    "2-D": (lambda path: write_image(path, blob_array()[:1]), [], "expects a 3-D volume, but"),
    "NaN": (nan, [], "holds 3 voxels that are NaN or infinite"),
    "constant": (lambda path: write_image(path, np.zeros((9, 9, 9), np.int16)), [], "every voxel is 0"),
    "channels": (two_channels, [], "expects 1 channel(s) (T1), got 2"),
    "CT": (hounsfield, [], "The model blob expects MR, but"),
    "region outside": (write_blob, ["--roi", "50,60,0,5,0,5"], "holds no voxel of the image (size (24, 22, 20))"),
}


class TestWhatFailsInACase:
    """Exit status 1, one line, nothing half-written; other cases go on."""

    @pytest.mark.parametrize("fault", FAULTS)
    def test_alone(self, cnnseg, tmp_path, out, fault):
        make, options, message = FAULTS[fault]
        (tmp_path / "in").mkdir()
        path = make(tmp_path / "in" / "bad.nii.gz")
        outcome = cnnseg("segment", path, "-o", out, "--model", "blob", *options)
        outcome.assert_refused(1, message)
        assert outcome.out == ""
        assert files_in(out) == []

    @pytest.mark.parametrize("fault", ["truncated", "NaN", "CT"])
    def test_among_good_ones(self, cnnseg, images, out, fault):
        make, options, message = FAULTS[fault]
        bad = make(images[0].with_name("bad.nii.gz"))
        outcome = cnnseg("segment", images[0], bad, images[1], "-o", out, "--model", "blob", *options)
        outcome.assert_refused(1, "cnnseg: error: bad: ")
        assert message in outcome.err
        assert outcome.out.splitlines()[-1].startswith("3 cases: 2 done, 1 failed; ")
        assert files_in(out) == ["a.run.json", "a.seg.nrrd", "b.run.json", "b.seg.nrrd", "volumes.csv"]

    def test_another_modality_goes_on_with_force_and_a_warning(self, cnnseg, tmp_path, out):
        path = hounsfield(tmp_path / "in" / "ct.nii.gz")
        outcome = cnnseg("segment", path, "-o", out, "--model", "blob", "--force")
        assert outcome.status == 0
        assert outcome.err.startswith("cnnseg: warning: ct: Forced: the model expects MR, but")
        assert outcome.err.count("\n") == 1

    def test_debug_shows_the_traceback(self, cnnseg, tmp_path, out):
        outcome = cnnseg("segment", truncated(tmp_path / "in" / "bad.nii.gz"), "-o", out, "--model", "blob", "--debug")
        assert outcome.status == 1
        assert "Traceback (most recent call last)" in outcome.err
        assert outcome.err.splitlines()[-1].startswith("cnnseg: error: bad: ")

    def test_a_writer_that_fails_leaves_nothing(self, cnnseg, images, out, monkeypatch):
        def fail(path, *_):
            path.write_bytes(b"half")
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(report, "write_overlay", fail)
        outcome = cnnseg("segment", images[0], "-o", out, "--model", "blob", "--report")
        outcome.assert_refused(1, "No space left on device")
        assert files_in(out) == []

    def test_a_device_that_is_not_there_stops_the_run_at_once(self, cnnseg, images, out):
        outcome = cnnseg("segment", *images, "-o", out, "--model", "blob", "--device", "cuda:99")
        outcome.assert_refused(1, "The device cuda:99 does not work")
        assert files_in(out) == []

    def test_weights_that_do_not_fit_stop_the_run_at_once(self, cnnseg, images, out, models):
        path = next((models / "blob" / "models").iterdir())
        path.write_bytes(path.read_bytes()[:-10])
        cnnseg("segment", *images, "-o", out, "--model", "blob").assert_refused(1, "")
        assert files_in(out) == []
