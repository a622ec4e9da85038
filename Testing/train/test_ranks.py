"""Training in two processes gives what one gives, and goes on after a failure."""

import csv
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from SlicerCNNSegTrainLib.cli.main import main
from SlicerCNNSegTrainLib.engine.run_folder import RunFolder
from SlicerCNNSegTrainLib.engine.training.checkpoint import load_checkpoint
from SlicerCNNSegTrainLib.engine.training.ranks import ALONE, Ranks

LIBRARIES = [str(path) for path in map(Path, sys.path) if path.name in ("SlicerCNNSeg", "SlicerCNNSegTrain")]

FAILS_ONCE = """
import os, sys
from SlicerCNNSegTrainLib.engine.training import trainer
step = trainer.Trainer._train_step
def failing(self, batch):
    if self._step == 5 and os.environ["TORCHELASTIC_RESTART_COUNT"] == "0":
        os._exit(1)
    return step(self, batch)
trainer.Trainer._train_step = failing
from SlicerCNNSegTrainLib.cli.main import main
sys.exit(main())
"""


@pytest.fixture
def planned(boxes, recipe, tmp_path):
    """Makes a run's folder whose numbers don't depend on the number of processes."""
    network = {**recipe.network, "dropout": 0.0}
    plain = replace(recipe, network=network, batch_size=4, steps=8, validate_every=4)
    (tmp_path / "recipe.json").write_text(json.dumps(plain.to_json()), encoding="utf-8")

    def plan(name):
        command = ["plan", boxes, "-o", tmp_path / name, "--recipe", tmp_path / "recipe.json"]
        assert main([str(word) for word in command]) == 0
        return RunFolder(tmp_path / name)

    return plan


def torchrun(*words, restarts=0):
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(LIBRARIES), "OMP_NUM_THREADS": "1"}
    launch = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "--max-restarts", str(restarts)]
    command = [sys.executable, *launch, *(str(word) for word in words)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    return done


def curve(run):
    with run.fold(0).curves.open(encoding="utf-8", newline="") as stream:
        return [[float(row[name]) for name in ("loss", "dice")] for row in csv.DictReader(stream)]


def test_two_processes_give_the_curve_of_one_and_survive_a_failure(planned, tmp_path):
    one, two = planned("one"), planned("two")
    assert main(["run", str(one.path), "--device", "cpu"]) == 0
    script = tmp_path / "fails_once.py"
    script.write_text(FAILS_ONCE, encoding="utf-8")
    torchrun(script, "run", two.path, "--device", "cpu", restarts=1)
    assert len(curve(one)) == 2
    for expected, found in zip(curve(one), curve(two), strict=True):
        assert found == pytest.approx(expected, abs=1e-4)
    expected, found = (load_checkpoint(run.fold(0).last) for run in (one, two))
    assert found["step"] == 8
    for name, weights in expected["average"].items():
        torch.testing.assert_close(found["average"][name], weights, atol=1e-4, rtol=1e-3)


def test_what_is_divided_comes_together_in_order(monkeypatch):
    parts = [["a", "c", "e"], ["b", "d"]]

    def gather(into, mine):
        into[:] = parts

    monkeypatch.setattr(torch.distributed, "all_gather_object", gather)
    assert Ranks(1, 2).gather(parts[1]) == ["a", "b", "c", "d", "e"]
    assert ALONE.gather([1, 2]) == [1, 2]
