"""``cnnseg models install``, ``remove``, ``check`` and ``pack``, and what a hostile model shows of itself."""

import io
import json
import sys
import zipfile

import pytest

from SlicerCNNSegLib.engine import catalogue


@pytest.fixture(autouse=True)
def no_embedded_models(tmp_path, monkeypatch):
    monkeypatch.setattr(catalogue, "EMBEDDED_MODELS", tmp_path / "none")


@pytest.fixture
def packed(cnnseg, tmp_path):
    """The model ``blob`` as a zip file, and its checksum as it was printed."""
    path = tmp_path / "blob.zip"
    outcome = cnnseg("models", "pack", "blob", "-o", path)
    assert (outcome.status, outcome.err) == (0, "")
    shown, checksum = outcome.out.splitlines()
    assert shown == str(path)
    return path, checksum


def set_licence(models, licence):
    path = models / "blob" / "configs" / "metadata.json"
    data = json.loads(path.read_text())
    data["cnnseg"]["licence"] = licence
    path.write_text(json.dumps(data))


def test_a_model_goes_to_another_machine(cnnseg, packed, models, tmp_path, monkeypatch):
    path, checksum = packed
    monkeypatch.setenv("CNNSEG_MODELS", str(tmp_path / "there"))
    outcome = cnnseg("models", "install", path, "--checksum", checksum, "--offline")
    assert (outcome.status, outcome.err) == (0, "")
    assert outcome.out == f"Installed blob 0.0.1 (Apache-2.0) in {tmp_path / 'there' / 'blob'}\n"
    assert cnnseg("models", "list").out.splitlines()[1].startswith("blob  segmentation")
    cnnseg("models", "install", path).assert_refused(2, "The model blob is there already")
    assert cnnseg("models", "install", path, "--replace").status == 0
    outcome = cnnseg("models", "remove", "blob")
    assert (outcome.status, outcome.out) == (0, f"Removed blob from {tmp_path / 'there' / 'blob'}\n")
    cnnseg("models", "remove", "blob").assert_refused(2, "No model 'blob': expected one of none")


def test_wrong_usage_is_told(cnnseg, packed):
    path, _ = packed
    cnnseg("models", "install", "https://127.0.0.1:9/a.zip").assert_refused(2, "Give the published checksum")
    cnnseg("models", "install", path, "--checksum", "sha256:12").assert_refused(2, "Expected a checksum as sha256:HEX")
    cnnseg("models", "install").assert_refused(2, "the following arguments are required: FILE.zip|FOLDER|URL")
    cnnseg("models", "pack", "blob", "-o", "blob.tar").assert_refused(2, "Expected a file name that ends in .zip")


def test_offline_and_other_failures_are_told(cnnseg, packed, tmp_path):
    path, checksum = packed
    address = "https://127.0.0.1:9/a.zip"
    cnnseg("models", "install", address, "--checksum", checksum, "--offline").assert_refused(
        1, "the network is forbidden"
    )
    cnnseg("models", "install", path, "--checksum", "md5:" + "0" * 32).assert_refused(1, "it was not opened")
    cnnseg("models", "install", tmp_path / "absent.zip").assert_refused(1, "there is no")


def test_a_licence_is_shown_and_accepted_with_an_option(cnnseg, models, tmp_path, monkeypatch):
    set_licence(models, "CC BY-NC 4.0")
    (models / "blob" / "LICENSE").write_text("Not for sale.")
    cnnseg("models", "pack", "blob", "-o", tmp_path / "blob.zip")
    monkeypatch.setenv("CNNSEG_MODELS", str(tmp_path / "there"))
    monkeypatch.setattr(sys, "stdin", io.StringIO("y\n"))
    outcome = cnnseg("models", "install", tmp_path / "blob.zip")
    assert outcome.status == 2
    licence, text, error = outcome.err.splitlines()
    assert (licence, text) == ("Licence of blob: CC BY-NC 4.0", "Not for sale.")
    assert "accept it with --accept-licence" in error
    assert cnnseg("models", "install", tmp_path / "blob.zip", "--accept-licence").status == 0


def test_an_installation_is_told_to_programs(cnnseg, models, tmp_path, monkeypatch):
    """One JSON object per line: how far it is, the licence as long as it is not accepted, the end."""
    set_licence(models, "CC BY-NC 4.0")
    (models / "blob" / "LICENSE").write_text("Not for sale.")
    cnnseg("models", "pack", "blob", "-o", tmp_path / "blob.zip")
    monkeypatch.setenv("CNNSEG_MODELS", str(tmp_path / "there"))
    outcome = cnnseg("models", "install", tmp_path / "blob.zip", "--json")
    events = [json.loads(line) for line in outcome.out.splitlines()]
    assert outcome.status == 2
    assert {event["event"] for event in events[:-2]} == {"progress"}
    title = json.loads((models / "blob" / "configs" / "metadata.json").read_text())["cnnseg"]["title"]
    about = {"id": "blob", "title": title, "licence": "CC BY-NC 4.0"}
    assert events[-2] == {"event": "licence", **about, "text": "Not for sale."}
    assert (events[-1]["event"], events[-1]["error"], events[-1]["status"]) == ("error", "LicenceError", 2)
    outcome = cnnseg("models", "install", tmp_path / "blob.zip", "--json", "--accept-licence")
    events = [json.loads(line) for line in outcome.out.splitlines()]
    assert outcome.status == 0
    assert events[-2] == {"event": "progress", "fraction": 1.0, "stage": "Installed"}
    folder = str(tmp_path / "there" / "blob")
    assert events[-1] == {"event": "installed", **about, "version": "0.0.1", "task": "segmentation", "folder": folder}


@pytest.mark.parametrize(("answer", "status"), [("y\n", 0), ("\n", 2), ("", 2)])
def test_a_licence_is_asked_for_in_a_terminal(cnnseg, models, tmp_path, monkeypatch, answer, status):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    set_licence(models, "CC BY-NC 4.0")
    cnnseg("models", "pack", "blob", "-o", tmp_path / "blob.zip")
    monkeypatch.setenv("CNNSEG_MODELS", str(tmp_path / "there"))
    monkeypatch.setattr(sys, "stdin", Terminal(answer))
    outcome = cnnseg("models", "install", tmp_path / "blob.zip")
    assert outcome.status == status
    assert "Do you accept the licence CC BY-NC 4.0? [y/N]" in outcome.err


def test_all_models_are_checked(cnnseg, models):
    (models / "pair" / "configs" / "metadata.json").unlink()
    outcome = cnnseg("models", "check")
    assert (outcome.status, outcome.err) == (1, "")
    lines = [line.split("  ") for line in outcome.out.splitlines()]
    assert [line[0] for line in lines] == ["id", "blob", "blob", "blob", "blob", "pair"]
    assert "FAILED" in outcome.out.splitlines()[-1]
    assert "lacks configs/metadata.json" in outcome.out.splitlines()[-1]


def test_one_model_is_checked_by_id_or_folder_as_json(cnnseg, models):
    by_id, by_folder = cnnseg("models", "check", "blob", "--json"), cnnseg("models", "check", models / "blob", "--json")
    assert by_id.status == by_folder.status == 0
    assert by_id.out == by_folder.out
    (checked,) = json.loads(by_id.out)
    assert checked["id"] == "blob"
    assert [finding["passed"] for finding in checked["findings"]] == [True, True, None, None]
    cnnseg("models", "check", "absent").assert_refused(2, "No model 'absent'")


def test_a_hostile_model_in_the_folder_cannot_steer_the_terminal(cnnseg, models):
    path = models / "blob" / "configs" / "metadata.json"
    data = json.loads(path.read_text())
    data["description"] = data["cnnseg"]["title"] = data["cnnseg"]["labels"][0]["name"] = "a\x1b[2J\u202eb"
    data["cnnseg"]["channels"][0]["name"] = "\x9b31m"
    path.write_text(json.dumps(data))
    (models / "pair" / "configs" / "metadata.json").write_text('{"version": "1", "cnnseg": {"id": "\\u001b]0;x"}}')
    for words in (["list"], ["show", "blob"], ["check"], ["show", "\x1b[2J"]):
        outcome = cnnseg("models", *words)
        text = (outcome.out + outcome.err).replace("\n", "")
        assert text.isprintable(), words
    assert "a\\x1b[2J\\u202eb" in cnnseg("models", "show", "blob").out


def test_a_hostile_archive_is_one_line(cnnseg, packed):
    path, _ = packed
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("../\x1b[2J\nevil", "x")
    cnnseg("models", "install", path, "--replace").assert_refused(1, "has control characters in its name")


def test_the_model_zoo_is_shown_with_what_runs_and_why_the_rest_does_not(cnnseg):
    outcome = cnnseg("models", "list", "--available")
    assert (outcome.status, outcome.err) == (0, "")
    lines = outcome.out.splitlines()
    assert lines[0].split() == ["id", "version", "task", "modality", "structures", "status"]
    (line,) = [line for line in lines if line.startswith("wholeBody_ct_segmentation")]
    assert "104: spleen, kidney_right" in line
    assert line.endswith("  runs")
    (line,) = [line for line in lines if line.startswith("vista3d")]
    assert line.endswith("refused: own code: scripts.inferer, scripts.evaluator; network vista3d132")
    assert lines[-1].startswith("Project-MONAI/model-zoo, commit of 2024-10-11.")
    entries = json.loads(cnnseg("models", "list", "--available", "--json").out)
    assert len(entries) == len(lines) - 3 == 31
    assert all(len(entry["sha1"]) == 40 and entry["url"].startswith("https://") for entry in entries)
    statuses = [entry["status"] for entry in entries if entry["task"] == "segmentation"]
    assert [statuses.count(status) for status in ("runs", "with trust", "refused")] == [11, 2, 6]
    assert {entry["status"] for entry in entries} == {"runs", "with trust", "refused"}
    assert all(entry["reason"] for entry in entries if entry["status"] != "runs")


def test_a_bundle_of_the_model_zoo_that_cannot_be_run_is_not_fetched(cnnseg):
    cnnseg("models", "install", "vista2d").assert_refused(2, "vista2d cannot be run here (own code: scripts.components")
    cnnseg("models", "install", "mednist_gan").assert_refused(2, "mednist_gan cannot be run here (it makes images)")
    cnnseg("models", "install", "renalStructures_UNEST_segmentation").assert_refused(
        2, "runs when it is trusted alone (own code: scripts.networks.unest.UNesT)"
    )
    cnnseg("models", "install", "spleen_ct_segmentation", "--offline").assert_refused(1, "is not fetched: the network")
