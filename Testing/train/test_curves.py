"""Curves: read back as they were written, and drawn so that nothing is cut off or hidden."""

import csv
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.image import imread

from SlicerCNNSegLib.engine.errors import FileReadError, InputError, OutputError
from SlicerCNNSegTrainLib.engine.results import curves_plot
from SlicerCNNSegTrainLib.engine.results.curves import Curves, read_curves
from SlicerCNNSegTrainLib.engine.results.curves_plot import draw_curves, write_curves_plot

STRUCTURES = ("Anterior hippocampus", "Posterior hippocampus")


def a_run(validations=6, structures=STRUCTURES, *, every=500, seconds=150.0, metric="dice"):
    """A run whose mean is best at its last validation but one."""
    steps = every * np.arange(1, validations + 1)
    share = np.arange(1, validations + 1) / validations
    rise = 1 - np.exp(-5 * share)
    rise[-1] -= 0.1 if validations > 1 else 0
    parts = {name: (0.9 - 0.01 * number) * rise for number, name in enumerate(structures)}
    scores = np.mean(list(parts.values()), axis=0) if parts else 0.9 * rise
    return Curves(metric, steps, 2 * np.exp(-share), 1e-3 * (1 - share), scores, parts, seconds * steps / every)


def write(path, curves):
    """As the trainer writes them."""
    names = ["step", "loss", "learning_rate", curves.metric, *(f"{curves.metric} {name}" for name in curves.parts)]
    columns = [curves.steps, curves.loss, curves.learning_rate, curves.scores, *curves.parts.values(), curves.seconds]
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow([*names, "seconds"])
        writer.writerows(zip(*columns, strict=True))


def inside(figure):
    """Whether all that is drawn lies inside of the picture."""
    figure.canvas.draw()
    drawn, (width, height) = figure.get_tightbbox(), figure.get_size_inches()
    return min(drawn.x0, drawn.y0) >= 0 and drawn.x1 <= width and drawn.y1 <= height


@pytest.mark.parametrize("structures", [(), STRUCTURES, ('Left, "large"', "$odd; name$")])
def test_what_was_written_is_read(tmp_path, structures):
    run = a_run(structures=structures)
    write(tmp_path / "curves.csv", run)
    read = read_curves(tmp_path / "curves.csv")
    assert read.metric == "dice"
    assert read.steps.dtype == np.int64
    assert list(read.parts) == list(structures)
    for name in ("steps", "loss", "learning_rate", "scores", "seconds"):
        np.testing.assert_array_equal(getattr(read, name), getattr(run, name))
    for name in structures:
        np.testing.assert_array_equal(read.parts[name], run.parts[name])


def test_numbers_that_are_no_structures_stay_out_of_the_parts(tmp_path):
    text = "step,loss,learning_rate,auc,auc benign,accuracy,seconds\n10,0.5,1e-3,0.7,nan,0.6,3\n"
    (tmp_path / "curves.csv").write_text(text)
    read = read_curves(tmp_path / "curves.csv")
    assert (read.metric, read.scores.tolist(), list(read.parts)) == ("auc", [0.7], ["benign"])
    assert np.isnan(read.parts["benign"]).all()


def test_the_best_is_the_first_of_the_highest():
    scores = np.array([0.1, np.nan, 0.8, 0.8, 0.7])
    assert replace(a_run(5), scores=scores).best == 2
    assert replace(a_run(5), scores=np.full(5, np.nan)).best is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("epoch,loss,dice\n1,0.5,0.3\n", r"has the columns epoch, loss, dice; expected step, loss, learning_rate"),
        ("step,loss,learning_rate,seconds\n1,0.5,0.3,2\n", r"expected step, loss, learning_rate, a metric"),
        (
            "step,loss,learning_rate,dice,seconds\n1,0.5,0.3,high,2\n",
            r"Expected a number for dice in curves.csv, row 2",
        ),
        ("step,loss,learning_rate,dice,seconds\n", r"has no rows"),
    ],
)
def test_a_table_of_another_kind_is_told(tmp_path, text, message):
    (tmp_path / "curves.csv").write_text(text)
    with pytest.raises(InputError, match=message):
        read_curves(tmp_path / "curves.csv")


def test_a_missing_table_is_told(tmp_path):
    with pytest.raises(FileReadError, match=r"cannot be read as a table"):
        read_curves(tmp_path / "curves.csv")


def test_reading_is_light():
    probe = "import sys; import SlicerCNNSegTrainLib.engine.results.curves; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True, env=environment())
    assert not {"torch", "monai", "matplotlib", "scipy"} & set(done.stdout.split())


def environment():
    return {"PYTHONPATH": ":".join(path for path in sys.path if path)}


def test_curves_hold_their_numbers():
    run = a_run()
    score, loss, rate, _ = draw_curves(run).axes
    found = [line.get_ydata() for line in score.lines]
    for expected in (run.scores, *run.parts.values()):
        assert any(len(line) == 6 and np.array_equal(line, expected) for line in found)
    np.testing.assert_array_equal(loss.lines[0].get_ydata(), run.loss)
    np.testing.assert_array_equal(rate.lines[0].get_ydata(), run.learning_rate)
    assert len(loss.lines) == 2  # the loss and the line at the best step: too few points to be smoothed


def test_the_best_step_is_marked_and_told():
    run = a_run()
    assert run.best == 4
    figure = draw_curves(run)
    assert figure.texts[0].get_text() == f"Best dice {run.scores[4]:.3f} at step 2,500"
    for axes in figure.axes[:3]:
        assert [2500, 2500] in [list(line.get_xdata()) for line in axes.lines]
    names = [text.get_text() for text in figure.legends[0].get_texts()]
    assert names == [
        f"mean {run.scores[4]:.3f}",
        *(f"{name} {values[4]:.3f}" for name, values in run.parts.items()),
    ]


def test_many_losses_are_smoothed():
    run, random = a_run(60), np.random.default_rng(0)
    noisy = replace(run, loss=run.loss + random.normal(0, 0.1, 60))
    raw, smooth, _ = draw_curves(noisy).axes[1].lines
    np.testing.assert_array_equal(raw.get_ydata(), noisy.loss)
    errors = [np.sqrt(np.mean((line.get_ydata() - run.loss) ** 2)) for line in (raw, smooth)]
    assert errors[1] < 0.6 * errors[0]
    assert raw.get_alpha() < 0.5


@pytest.mark.parametrize(
    ("seconds", "ticks"), [(10.0, {"0 s": 0, "20 s": 1000}), (150.0, {"5 min": 1000}), (3600.0, {"2 h": 1000})]
)
def test_time_stands_above_its_steps(seconds, ticks):
    above = draw_curves(a_run(seconds=seconds)).axes[3]
    found = dict(zip((text.get_text() for text in above.get_xticklabels()), above.get_xticks(), strict=True))
    assert {name: found[name] for name in ticks} == pytest.approx(ticks)
    assert above.get_xlim() == (0, 3000)


def test_of_many_structures_the_lowest_have_colours():
    names = [f"Structure {number}" for number in range(9)]
    figure = draw_curves(a_run(structures=names))
    told = [text.get_text() for text in figure.legends[0].get_texts()]
    assert [text.rpartition(" ")[0] for text in told[1:-1]] == names[3:]  # the later the lower
    assert told[-1] == "3 others, with higher values"


@pytest.mark.parametrize(("top", "limit"), [(0.999, 1.02), (12.0, 14.0)])
def test_a_share_ends_at_one(top, limit):
    run = a_run(structures=())
    axes = draw_curves(replace(run, scores=run.scores / run.scores.max() * top)).axes[0]
    assert top < axes.get_ylim()[1] < limit


def test_one_structure_is_not_drawn_twice():
    run = a_run(structures=("Box",))
    figure = draw_curves(run)
    assert not figure.legends[0].get_texts()
    assert sum(len(line.get_ydata()) == 6 for line in figure.axes[0].lines) == 1


@pytest.mark.parametrize(
    "run",
    [
        a_run(1, (), metric="auc"),
        a_run(1, STRUCTURES, every=1, seconds=0.0),
        a_run(40, [f"Segmental bronchus of the lung's lower LOBE, number {n} $x_1$" for n in range(20)], every=25_000),
        replace(a_run(3), scores=np.full(3, np.nan), loss=np.full(3, np.nan), learning_rate=np.zeros(3)),
    ],
    ids=["one validation", "no time", "long names", "no numbers"],
)
def test_nothing_is_cut_off(run):
    assert inside(draw_curves(run))


def test_the_file_is_whole_sharp_and_the_same_again(tmp_path):
    run = a_run()
    write_curves_plot(tmp_path / "curves.png", run)
    write_curves_plot(tmp_path / "again.png", run)
    assert (tmp_path / "curves.png").read_bytes() == (tmp_path / "again.png").read_bytes()
    picture = imread(tmp_path / "curves.png")
    assert picture.shape[1] == round(curves_plot.WIDTH * curves_plot.DPI) == 1170
    for color in curves_plot.PART_COLORS[:2]:
        assert (np.abs(picture[..., :3] - to_rgb(color)).max(axis=-1) < 0.02).sum() > 500
    assert sorted(file.name for file in tmp_path.iterdir()) == ["again.png", "curves.png"]


def test_a_place_that_cannot_be_written_is_told(tmp_path):
    (tmp_path / "curves.png").mkdir()
    with pytest.raises(OutputError, match=r"Expected a file to write"):
        write_curves_plot(tmp_path / "curves.png", a_run())
