"""Pictures: the gate's drops, ROC and precision-recall curves, reliability."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from calibration.reports import WORDS
from cxredge.files import write_atomically
from cxredge.result import LABELS, display_name

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["mark_points", "plot_gate", "plot_panel", "plot_sheet", "save"]

OURS, OTHER, QUIET, BAD = "#1f5fa8", "#c4571b", "#8a8f98", "#b3261e"


def save(figure: Figure, path: Path) -> None:
    """As PNG, in one step; without the time and program that would make two runs differ."""
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=130, metadata={"Software": None})
    write_atomically(path, file.getvalue())


def plot_gate(report: Mapping[str, Any], path: Path) -> None:
    """AUROC drops with intervals, a panel an engine; the line is what a disease may drop."""
    from matplotlib.figure import Figure

    rows = [row for row in report["engines"] if "auroc" in row]
    figure = Figure(figsize=(5.2 * max(1, len(rows)), 5), layout="constrained")
    figure.suptitle(
        f"{WORDS[report.get('precision', 'int8')]} of {report['method']}: AUROC drop against fp32", fontsize=11
    )
    for place, row in enumerate(rows):
        axes = figure.add_subplot(1, len(rows), place + 1)
        axes.set_title(f"{row['engine']}: {'passed' if row['passed'] else 'FAILED'}", fontsize=10)
        for y, found in enumerate(row["auroc"].values()):
            drop = found["drop"]
            color = OURS if drop["value"] <= report["bounds"]["auroc"] else BAD
            if drop["low"] is not None:
                axes.plot([drop["low"], drop["high"]], [y, y], color=color, linewidth=2)
            axes.plot(drop["value"], y, "o", color=color)
        axes.set_yticks(range(len(row["auroc"])), list(map(display_name, row["auroc"])), fontsize=8)
        axes.invert_yaxis()
        axes.axvline(0, color=QUIET, linewidth=0.6)
        axes.axvline(report["bounds"]["auroc"], color=BAD, linewidth=0.8, linestyle="--")
        axes.set_xlabel("drop, 95 % interval", fontsize=9)
    save(figure, path)


SHAPES = "o^sDvP*X"
COLORS = ("#c4571b", "#1b7f5c", "#7a3fa0", "#a8871f", "#b3261e", "#0f7c96", "#5c4033", "#444444")
"""Of points; beyond eight places both begin again, shapes one further, so that no two are alike."""
SAME = 0.015
"""Markers nearer than this lie on each other."""


def mark_points(axes: Axes, points: Mapping[str, tuple[float, float]], auroc: float) -> None:
    """Operating points on a ROC curve, by name: false and true positive rate.

    Names stand in a legend, on the side that the curve leaves free, so that points may lie as close as they like; those
    at one place share a marker and a line. `auroc` is told above them.
    """
    handles = [
        axes.plot(
            *place, SHAPES[(number + number // 8) % 8], color=COLORS[number % 8],
            label=textwrap.fill(", ".join(names), 24),
            fillstyle="none", markersize=4.5, markeredgewidth=1.1, clip_on=False, zorder=4, linestyle="none",
        )[0]
        for number, (names, place) in enumerate(_together(points))
    ]  # fmt: skip
    axes.legend(
        handles=handles, title=f"AUROC {auroc:.3f}", loc="lower right" if auroc >= 0.5 else "upper left", fontsize=6,
        title_fontsize=7, handletextpad=0.2, borderpad=0.3, labelspacing=0.25, framealpha=0.75, edgecolor="none",
    )  # fmt: skip


def _together(points: Mapping[str, tuple[float, float]]) -> list[tuple[list[str], tuple[float, float]]]:
    """The names at each place, from the curve's lower left to its upper right."""
    groups: list[tuple[list[str], tuple[float, float]]] = []
    for name, place in sorted(points.items(), key=lambda item: sum(item[1])):
        last = groups[-1] if groups else None
        if last and max(abs(place[0] - last[1][0]), abs(place[1] - last[1][1])) < SAME:
            last[0].append(name)
        else:
            groups.append(([name], place))
    return groups


Draw = Callable[["Axes", str], None]


def plot_sheet(draw: Draw, title: str, path: Path) -> None:
    """All fourteen diseases on one sheet; `draw` fills the panel of a label."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 8), layout="constrained")
    figure.suptitle(title, fontsize=11)
    for place, label in enumerate(LABELS):
        axes = figure.add_subplot(3, 5, place + 1)
        axes.set_title(display_name(label), fontsize=9)
        axes.tick_params(labelsize=7)
        draw(axes, label)
    save(figure, path)


def plot_panel(draws: Mapping[str, Draw], label: str, path: Path) -> None:
    """One disease: a panel for each kind of curve."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.2 * len(draws), 4), layout="constrained")
    figure.suptitle(display_name(label), fontsize=11)
    for place, (title, draw) in enumerate(draws.items()):
        axes = figure.add_subplot(1, len(draws), place + 1)
        axes.set_title(title, fontsize=9)
        draw(axes, label)
    save(figure, path)
