"""The command line as a user sees it: arguments in; exit status, stdout and stderr out."""

from dataclasses import dataclass
from pathlib import Path

import pytest
from tiny_cases import write_blob
from tiny_model import write_tiny_model

from SlicerCNNSegLib.cli.main import main


@dataclass(frozen=True)
class Outcome:
    status: int
    out: str
    err: str

    def assert_refused(self, status: int, message: str) -> None:
        """Assert one line on stderr that holds the message, and that exit status."""
        assert self.err.startswith("cnnseg: error: "), self.err
        assert message in self.err
        assert self.err.count("\n") == 1, self.err
        assert "Traceback" not in self.err
        assert self.status == status


@pytest.fixture
def cnnseg(capfd):
    """Runs the command line in this process; texts are caught below Python, so ITK's own are in them."""

    def run(*arguments: str | Path) -> Outcome:
        capfd.readouterr()
        status = main([str(argument) for argument in arguments])
        out, err = capfd.readouterr()
        return Outcome(status, out, err)

    return run


@pytest.fixture(autouse=True)
def models(tmp_path, monkeypatch):
    """The folder of the user's models, with ``blob`` (finds what is bright) and ``pair`` (two channels)."""
    folder = tmp_path / "models"
    write_tiny_model(folder / "blob")
    pair = {"_target_": "Threshold", "in_channels": 2, "dims": 3}
    write_tiny_model(folder / "pair", network=pair, channels=(("T1", "MR"), ("FLAIR", "MR")))
    monkeypatch.setenv("CNNSEG_MODELS", str(folder))
    return folder


@pytest.fixture
def images(tmp_path):
    """Three images: a, b, c."""
    return [write_blob(tmp_path / "in" / f"{name}.nii.gz", seed) for seed, name in enumerate("abc")]


@pytest.fixture
def out(tmp_path):
    return tmp_path / "out"
