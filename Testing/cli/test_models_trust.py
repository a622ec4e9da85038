"""``cnnseg models trust`` and ``untrust``: what is shown before, and that nothing happens without a yes."""

import json
import sys

import pytest
from zoo_bundles import STYLES, write_bundle

from SlicerCNNSegLib.engine import catalogue
from SlicerCNNSegLib.engine.bundles.trust import RECORD


@pytest.fixture
def own_code(tmp_path, monkeypatch):
    """A bundle in the user's folder whose network is code of its own."""
    monkeypatch.setattr(catalogue, "EMBEDDED_MODELS", tmp_path / "none")
    monkeypatch.setenv("CNNSEG_MODELS", str(tmp_path / "store"))
    folder = write_bundle(tmp_path / "store" / "own_code", STYLES["spleen"])
    path = folder / "configs" / "inference.json"
    config = json.loads(path.read_text())
    config["network_def"] = {"_target_": "scripts.own.Own"}
    path.write_text(json.dumps(config))
    (folder / "scripts").mkdir()
    (folder / "scripts" / "own.py").write_text("raise SystemExit('code ran')\n")
    return folder


def test_what_it_means_is_shown_and_the_answer_recorded(cnnseg, own_code):
    record = own_code.parent / RECORD
    refused = cnnseg("models", "list")
    assert refused.out.splitlines()[-1].startswith(
        'own_code: cannot be used: The bundle own_code asks for scripts.own.Own in "network_def"'
    )
    outcome = cnnseg("models", "trust", "own_code", "--yes")
    assert outcome.status == 0
    shown = outcome.err.splitlines()
    assert shown[0] == f"own_code 0.1.0 in {own_code}"
    assert "asks for scripts.own.Own" in shown[1]
    assert shown[2:] == ["Files with code:", "scripts/own.py"]
    assert outcome.out.startswith("Trusted own_code 0.1.0 as it is now (SHA-256 ")
    assert json.loads(record.read_text())["own_code"] in outcome.out
    assert "cannot be used" not in cnnseg("models", "list").out
    assert cnnseg("models", "untrust", "own_code").out == "own_code is not trusted any more\n"
    assert json.loads(record.read_text()) == {}
    cnnseg("models", "untrust", "own_code").assert_refused(2, "'own_code' is not among those that were trusted")


def test_without_an_answer_nothing_is_trusted(cnnseg, own_code):
    outcome = cnnseg("models", "trust", "own_code")
    assert outcome.status == 2
    assert outcome.err.splitlines()[-1].startswith("cnnseg: error: The model own_code was not trusted; nothing was")
    assert not (own_code.parent / RECORD).exists()


@pytest.mark.parametrize(("answer", "trusted"), [("own_code", True), ("y", False), ("", False)])
def test_the_answer_is_the_models_id(cnnseg, own_code, monkeypatch, answer, trusted):
    monkeypatch.setattr(sys, "stdin", Terminal(answer))
    outcome = cnnseg("models", "trust", "own_code")
    assert "Type its id to trust it" in outcome.err
    assert (outcome.status == 0) is trusted
    assert (own_code.parent / RECORD).exists() is trusted


class Terminal:
    def __init__(self, answer):
        self.answer = answer

    def isatty(self):
        return True

    def readline(self):
        return f"{self.answer}\n"
