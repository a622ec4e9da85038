"""Seconds that ``cnnseg evaluate detection`` takes for LUNA16's 888 scans and 60,000 marks.

Run: ``python Testing/benchmarks/detection_evaluation.py [FOLDER] [OUT]``. With FOLDER, which holds LUNA16's
three tables (``annotations.csv``, ``annotations_excluded.csv``, ``seriesuids.csv``), those are used, else
random findings of the same numbers. The marks are made: near nodules, near excluded findings and anywhere.
OUT keeps the tables and results. The limit is 10 s of processor time, imports included, which a busy machine
does not stretch; the exit status is 1 above it.
"""

import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from SlicerCNNSegLib.cli.main import main as cnnseg
from SlicerCNNSegLib.engine.evaluation.detection.tables import read_findings, read_series

LIMIT_S = 10.0
SCANS, NODULES, EXCLUDED, MARKS = 888, 1186, 35192, 60_000
TABLES = ("annotations.csv", "annotations_excluded.csv", "seriesuids.csv")
FINDING, MARK = "seriesuid,coordX,coordY,coordZ,diameter_mm", "seriesuid,coordX,coordY,coordZ,probability,diameter_mm"


def write_rows(path: Path, heading: str, series: list[str], numbers: np.ndarray) -> None:
    """Write one line for each row of numbers."""
    lines = [f"{uid},{','.join(f'{value:.6f}' for value in row)}" for uid, row in zip(series, numbers, strict=True)]
    path.write_text("\n".join([heading, *lines]) + "\n", encoding="utf-8")


def write_random_truth(folder: Path, rng: np.random.Generator) -> None:
    """Tables of LUNA16's size."""
    uids = [f"1.2.826.0.1.{n}" for n in range(SCANS)]
    (folder / "seriesuids.csv").write_text("\n".join(uids) + "\n", encoding="utf-8")
    for name, count, diameter_mm in zip(TABLES, (NODULES, EXCLUDED), (rng.uniform(3, 30, NODULES), -1.0), strict=False):
        numbers = np.column_stack((rng.uniform(-170, 170, (count, 3)), np.broadcast_to(diameter_mm, count)))
        write_rows(folder / name, FINDING, list(rng.choice(uids, count)), numbers)


def write_marks(path: Path, truth: Path, rng: np.random.Generator) -> None:
    """Marks of a middling detector: nine nodules of ten, a third of the excluded findings, and false ones."""
    annotations, excluded, series = (truth / name for name in TABLES)
    uids, rows = [], []
    for findings, share, ability in ((read_findings(annotations), 0.9, 2.5), (read_findings(excluded), 0.3, 0.5)):
        chosen = np.flatnonzero(rng.random(len(findings)) < share)
        uids += [findings.series[n] for n in chosen]
        score = rng.normal(ability, 1.2, len(chosen))
        diameter_mm = np.abs(findings.value[chosen]) * rng.uniform(0.7, 1.4, len(chosen))
        rows.append(
            np.column_stack((findings.center_mm[chosen] + rng.normal(0, 1, (len(chosen), 3)), score, diameter_mm))
        )
    false = MARKS - len(uids)
    uids += list(rng.choice(read_series(series), false))
    rows.append(
        np.column_stack((rng.uniform(-170, 170, (false, 3)), rng.normal(-1, 1.2, false), rng.uniform(3, 30, false)))
    )
    numbers = np.concatenate(rows)
    numbers[:, 3] = 1 / (1 + np.exp(-numbers[:, 3]))
    write_rows(path, MARK, uids, numbers)


def main() -> int:
    """Measure and print."""
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as temporary:
        out = Path(sys.argv[2] if len(sys.argv) > 2 else temporary)
        truth = Path(sys.argv[1]) if len(sys.argv) > 1 else out
        if truth == out:
            write_random_truth(truth, rng)
        write_marks(out / "marks.csv", truth, rng)
        annotations, excluded, series = (str(truth / name) for name in TABLES)
        line = ["evaluate", "detection", "--annotations", annotations, "--excluded", excluded, "--series", series]
        begin, begin_processor = time.perf_counter(), time.process_time()
        status = cnnseg([*line, "--predictions", str(out / "marks.csv"), "-o", str(out / "detection.json")])
        wall_s, processor_s = time.perf_counter() - begin, time.process_time() - begin_processor
    print(f"{processor_s:.1f} s of processor time (limit {LIMIT_S:g} s), {wall_s:.1f} s by the clock")
    return int(status != 0 or processor_s > LIMIT_S)


if __name__ == "__main__":
    sys.exit(main())
