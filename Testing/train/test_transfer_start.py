"""A run that starts from another model: what it begins with, what its checkpoints hold, and what is exported."""

from dataclasses import replace

import pytest
import torch
from tiny_model import write_tiny_model

from SlicerCNNSegLib.engine.errors import SettingsError, WeightsError
from SlicerCNNSegLib.engine.networks import build_network
from SlicerCNNSegLib.engine.progress import NoProgress, RecordingProgress
from SlicerCNNSegTrainLib.engine.checking.check import divide_read
from SlicerCNNSegTrainLib.engine.data.folder import read_folder
from SlicerCNNSegTrainLib.engine.data.reading import read_cases
from SlicerCNNSegTrainLib.engine.recipe import Start
from SlicerCNNSegTrainLib.engine.run_folder import FoldFolder
from SlicerCNNSegTrainLib.engine.training.checkpoint import load_checkpoint, save_checkpoint
from SlicerCNNSegTrainLib.engine.training.hardware import Hardware
from SlicerCNNSegTrainLib.engine.training.segmentation import SegmentationTask
from SlicerCNNSegTrainLib.engine.training.trainer import Trainer
from SlicerCNNSegTrainLib.engine.transfer.masking import Masking, PretrainingTask, pretext_definition, unlabelled_sample
from SlicerCNNSegTrainLib.engine.transfer.start import start_network, trained_network

CPU = Hardware(torch.device("cpu"), "fp32")
HEAD = "output_block.conv.conv.weight"


@pytest.fixture
def model(tmp_path, recipe):
    """A model with three classes, so that the head of a run with two stays fresh."""
    return write_tiny_model(tmp_path / "other", network={**recipe.network, "out_channels": 3})


@pytest.fixture
def samples(boxes, recipe):
    cases = read_folder(boxes).cases
    reading = read_cases(cases, NoProgress(), recipe)
    division = divide_read(cases, reading, recipe)
    return [[reading.samples[case.id] for case in part] for part in (division.training(0), division.held_out(0))]


def run(recipe, folder, samples, progress=None, **options):
    task = SegmentationTask(recipe, *samples)
    trainer = Trainer(recipe, FoldFolder(folder), task, start_network(recipe), hardware=CPU, **options)
    trainer.run(progress or NoProgress())
    return trainer


def short(recipe, **start):
    return replace(recipe, steps=6, validate_every=3, augmentation={}, start=Start(**start))


def test_without_a_model_nothing_is_taken(recipe):
    learner = start_network(recipe)
    assert learner.report is None
    torch.manual_seed(recipe.seed)
    fresh = build_network(recipe.network)
    assert all(torch.equal(tensor, fresh.state_dict()[name]) for name, tensor in learner.network.state_dict().items())


def test_a_run_with_a_frozen_encoder_keeps_the_models(tmp_path, recipe, samples, model):
    frozen = short(recipe, model=str(model), freeze="encoder")
    first = start_network(frozen)
    assert HEAD in first.report.fresh
    before = first.network.state_dict()
    run(frozen, tmp_path / "run", samples)
    after = trained_network(frozen, load_checkpoint(tmp_path / "run" / "best.pt")).state_dict()
    encoder = ("input_block.", "downsamples.", "bottleneck.")
    for name, _ in first.network.named_parameters():
        assert torch.equal(before[name], after[name]) == name.startswith(encoder), name


def test_what_of_a_frozen_encoder_was_not_there_learns(tmp_path, recipe):
    wider = write_tiny_model(tmp_path / "wider", network={**recipe.network, "filters": [6, 12, 24]})
    learner = start_network(short(recipe, model=str(wider), freeze="encoder"))
    learns = {name for name, parameter in learner.network.named_parameters() if parameter.requires_grad}
    assert {"bottleneck.conv1.conv.weight", "bottleneck.conv2.conv.weight"} <= learns
    assert not {name for name in learns if name.startswith(("input_block.", "downsamples."))}


def test_checkpoints_with_adapters_are_small_and_complete(tmp_path, recipe, samples, model):
    adapted = short(recipe, model=str(model), adapter_rank=1)
    trainer = run(adapted, tmp_path / "run", samples)
    state = load_checkpoint(tmp_path / "run" / "best.pt")
    sizes = [
        sum(t.numel() for t in part.values()) for part in (state["average"], build_network(recipe.network).state_dict())
    ]
    assert sizes[0] < 0.3 * sizes[1]
    network = trained_network(adapted, load_checkpoint(tmp_path / "run" / "last.pt")).eval()
    assert set(network.state_dict()) == set(build_network(recipe.network).state_dict())
    image = torch.randn(1, 1, 16, 16, 12, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        torch.testing.assert_close(network(image), trainer._average.eval()(image), rtol=0, atol=1e-5)
    assert not torch.equal(network.state_dict()[HEAD], start_network(adapted).network.state_dict()[HEAD])


def test_resuming_with_adapters_is_exact(tmp_path, recipe, samples, model):
    adapted = short(recipe, model=str(model), adapter_rank=1)
    run(adapted, tmp_path / "whole", samples)
    run(adapted, tmp_path / "parts", samples, RecordingProgress(cancel_at=0.6))
    assert load_checkpoint(tmp_path / "parts" / "last.pt")["step"] == 4
    run(adapted, tmp_path / "parts", samples, resume=True)
    expected, found = (load_checkpoint(tmp_path / name / "last.pt") for name in ("whole", "parts"))
    for part in ("network", "average"):
        assert all(torch.equal(expected[part][name], found[part][name]) for name in expected[part])


def test_adapters_are_refused_on_other_weights(tmp_path, recipe, samples, model):
    adapted = short(recipe, model=str(model), adapter_rank=1)
    run(adapted, tmp_path / "run", samples)
    other = write_tiny_model(tmp_path / "another", network={**recipe.network, "out_channels": 4})
    moved = replace(adapted, start=Start(str(other), adapter_rank=1))
    with pytest.raises(SettingsError, match=r"adapters were trained on weights with sha256 .* put the model back"):
        trained_network(moved, load_checkpoint(tmp_path / "run" / "best.pt"))


def test_a_complete_run_is_read_without_the_model_that_it_started_from(tmp_path, recipe):
    network = build_network(recipe.network)
    gone = replace(recipe, start=Start(str(tmp_path / "gone")))
    read = trained_network(gone, {"average": network.state_dict()})
    assert all(torch.equal(tensor, network.state_dict()[name]) for name, tensor in read.state_dict().items())


def test_pretraining_then_segmenting(tmp_path, recipe, samples):
    """The whole way: images without labels, then the same network with a head for structures."""
    unlabelled = [[unlabelled_sample(sample.id, sample.image) for sample in part] for part in samples]
    pretext = replace(short(recipe), network=pretext_definition(recipe.network))
    task = PretrainingTask(pretext, *unlabelled, Masking(block=4))
    folder = FoldFolder(tmp_path / "pretrained" / "fold_0")
    Trainer(pretext, folder, task, start_network(pretext), hardware=CPU).run(NoProgress())
    rows = folder.curves.read_text().splitlines()
    assert rows[0] == "step,loss,learning_rate,explained,l1,seconds"
    learner = start_network(short(recipe, model=str(tmp_path / "pretrained")))
    pretrained = load_checkpoint(folder.best)["average"]
    body = "input_block.conv2.conv.weight"
    assert torch.equal(learner.network.state_dict()[body], pretrained[body])
    assert set(learner.report.fresh) == {
        f"{head}.conv.conv.{part}"
        for head in ("output_block", "deep_supervision_heads.0")
        for part in ("weight", "bias")
    }
    run(short(recipe, model=str(tmp_path / "pretrained")), tmp_path / "run", samples)


def test_a_run_of_adapters_alone_is_no_start(tmp_path, recipe):
    save_checkpoint(tmp_path / "best.pt", {"average": {"a.parametrizations.weight.0.up": torch.ones(2, 1)}})
    with pytest.raises(WeightsError, match=r"best.pt holds adapters alone; export the run"):
        start_network(replace(recipe, start=Start(str(tmp_path))))
