"""The FROC curve as a picture (heavy: matplotlib).

White, for papers and pages: drawn through matplotlib's objects on its own canvas, without a window
system and global state.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from ...files.atomic import replacing
from .curves import RATES
from .summary import rate_text, with_interval

SIZE, DPI = (6.4, 4.6), 200
"""Inches and dots per inch: 1,280 columns."""

CURVE, QUIET = "#0b5fa5", "#5c6670"
"""On white 6.6:1 and 5.9:1, above the 4.5:1 that text needs."""


def write_froc_plot(path: str | Path, evaluation: Mapping[str, Any]) -> None:
    """Write the picture of ``draw_froc`` as PNG or SVG, by the file's suffix, whole or not at all.

    Raises
    ------
    OutputError
        The place cannot be written to.
    """
    figure = draw_froc(evaluation)
    svg = Path(path).suffix.lower() == ".svg"
    # the same evaluation gives the same file: no date, and identifiers that are not drawn at random
    with mpl.rc_context({"svg.hashsalt": "cnnseg"}), replacing(path) as part:
        figure.savefig(part, format="svg" if svg else "png", dpi=DPI, metadata={"Date": None} if svg else None)


def draw_froc(evaluation: Mapping[str, Any]) -> Figure:
    """Sensitivity from 0 to 1 over 1/8 to 8 false positives per scan, with the bootstrap's 95 % band.

    Parameters
    ----------
    evaluation:
        What ``evaluate_detection`` gave.
    """
    froc, counts = evaluation["froc"], evaluation["counts"]
    figure = Figure(figsize=SIZE, dpi=DPI, layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    band, curve = froc["band"], froc["curve"]
    if band:
        axes.fill_between(
            band["false_positives_per_scan"],
            band["low"],
            band["high"],
            color=CURVE,
            alpha=0.18,
            linewidth=0,
            label="95 % interval over scans",
        )
    # the curve is level beyond its last point, as the protocol reads it
    rates = [*curve["false_positives_per_scan"], max(RATES[-1], curve["false_positives_per_scan"][-1])]
    axes.plot(rates, [*curve["sensitivity"], curve["sensitivity"][-1]], color=CURVE, linewidth=1.8, label="FROC")
    axes.plot(
        RATES,
        [point["sensitivity"] for point in froc["operating_points"]],
        "o",
        color=CURVE,
        markersize=4.5,
        clip_on=False,
        label="operating points",
    )
    axes.set_xscale("log", base=2)
    axes.set(xlim=(RATES[0], RATES[-1]), ylim=(0, 1))
    axes.set_xticks(RATES, [rate_text(rate) for rate in RATES])
    axes.set_yticks([n / 10 for n in range(11)])
    axes.set_xlabel("False positives per scan")
    axes.set_ylabel("Sensitivity")
    axes.grid(color="#d9dde1", linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    cpm = with_interval(froc["cpm"]["value"], froc["cpm"]["ci95"])
    axes.set_title(f"CPM {cpm}", loc="left", fontsize=12, fontweight="bold")
    axes.set_title(f"{counts['nodules']:,} nodules in {counts['scans']:,} scans", loc="right", fontsize=9, color=QUIET)
    axes.legend(loc="lower right", fontsize=9, framealpha=1, edgecolor="#d9dde1")
    return figure
