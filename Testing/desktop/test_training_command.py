"""What the training panel says to ``cnnseg-train``, and understands of it; no desktop needed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from SlicerCNNSegTrainLib.cli.main import build_parser
from SlicerCNNSegTrainLib.command import (
    TrainingRequest,
    parse_error,
    parse_progress,
    python_arguments,
    shipped_recipes,
)

PLAIN = TrainingRequest(Path("d"), Path("r"), Path("m"))


def parsed(arguments):
    return build_parser().parse_args(arguments)


def test_a_new_run():
    options = parsed(PLAIN.begin())
    assert (options.command, options.data, options.run, options.output) == ("auto", Path("d"), Path("r"), Path("m"))
    assert (options.recipe, options.minutes, options.resume, options.start) == (None, 30.0, False, None)


def test_every_choice_is_handed_on():
    request = TrainingRequest(
        Path("d"), Path("r"), Path("m"), "hippocampus-mr", 7.5, "tiny-mr", True, 4, True, True, "cpu"
    )
    for options in (parsed(request.begin()), parsed(request.plan())):
        assert (options.recipe, options.minutes, options.start) == ("hippocampus-mr", 7.5, "tiny-mr")
        assert (options.freeze_encoder, options.adapter_rank) == (True, 4)
        assert (options.allow_empty, options.absent_not_contoured, options.device) == (True, True, "cpu")


def test_labels_are_handed_on_one_by_one_and_none_beside_a_recipe():
    chosen = replace(PLAIN, task="segmentation", labels=("Lung, left", "-odd"))
    for options in (parsed(chosen.begin()), parsed(chosen.plan())):
        assert (options.task, options.labels) == ("segmentation", ["Lung, left", "-odd"])
    options = parsed(replace(chosen, recipe="hippocampus-mr").begin())
    assert (options.recipe, options.labels) == ("hippocampus-mr", None)


def test_without_a_model_nothing_is_frozen():
    request = TrainingRequest(Path("d"), Path("r"), Path("m"), freeze_encoder=True, adapter_rank=4)
    assert not parsed(request.begin()).freeze_encoder
    assert parsed(request.begin()).adapter_rank == 0


def test_going_on_leaves_the_recipe_alone():
    options = parsed(TrainingRequest(Path("d"), Path("r"), Path("m"), "hippocampus-mr", 7.5, device="cpu").go_on())
    assert (options.resume, options.minutes, options.recipe, options.device) == (True, None, None, "cpu")


def test_an_export():
    options = parsed(PLAIN.export())
    assert (options.command, options.run, options.output) == ("export", Path("r"), Path("m"))


def test_the_check():
    options = parsed(TrainingRequest(Path("d"), Path("r"), Path("m"), "hippocampus-mr").check(Path("o")))
    assert (options.command, options.recipe, options.output) == ("check", "hippocampus-mr", Path("o"))


def test_python_finds_the_libraries_wherever_they_lie():
    flag, code, *command = python_arguments(["check", "d"], Path("/a b"), Path("/c"))
    assert (flag, command) == ("-c", ["check", "d"])
    assert "sys.path[:0] = ['/a b', '/c']" in code


def test_lines_of_the_command():
    progress = parse_progress("Training: 12%, step 360/3000, loss 0.310")
    assert (progress.title, progress.fraction, progress.stage) == ("Training", 0.12, "step 360/3000, loss 0.310")
    assert parse_progress("Wrote the model to m") is None
    assert parse_error("cnnseg-train: error: No labels.") == "No labels."
    assert parse_error("anything else") == ""


def test_there_are_recipes():
    assert "hippocampus-mr" in shipped_recipes("segmentation")
    assert shipped_recipes("detection") == ["nodule-detection-demo"]
    assert "hippocampus-mr" not in shipped_recipes("classification")
