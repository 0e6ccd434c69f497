"""Pictures of a report: the ROC curves, and AUROC with intervals beside the paper's."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cxredge.result import LABELS, display_name
from training.evaluate.tables import split_words

__all__ = ["plot_auroc", "plot_curves"]

OURS, THEIRS, QUIET = "#1f5fa8", "#c4571b", "#8a8f98"


def _title(report: Mapping[str, Any]) -> str:
    data = report["data"]
    return f"{report['checkpoint']['method']} on {data['name']}, {split_words(data['split'])}"


def plot_curves(report: Mapping[str, Any], curves: Mapping[str, Any], path: Path) -> None:
    """One panel a disease; a disease that cannot be measured is named in its panel."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 8.5), layout="constrained")
    figure.suptitle(f"ROC curves: {_title(report)}", fontsize=11)
    for place, label in enumerate(LABELS):
        axes = figure.add_subplot(3, 5, place + 1)
        axes.set_title(display_name(label), fontsize=9)
        axes.plot([0, 1], [0, 1], color=QUIET, linewidth=0.6, linestyle=":")
        axes.set(xlim=(0, 1), ylim=(0, 1), xticks=(0, 0.5, 1), yticks=(0, 0.5, 1))
        axes.tick_params(labelsize=7)
        axes.set_aspect("equal")
        said = report["not_measurable"].get(label)
        if said is None:
            curve, auroc = curves[label], report["auroc"]["diseases"][label]["auroc"]
            axes.plot(curve["false_positive_rate"], curve["true_positive_rate"], color=OURS, linewidth=1.3)
            said = f"{auroc['value']:.3f}"
            if auroc["low"] is not None:
                said += f"\n{auroc['low']:.3f} to {auroc['high']:.3f}"
        else:
            said = f"not measurable:\n{said}"
        axes.text(0.96, 0.06, said, ha="right", va="bottom", fontsize=7.5)
    figure.supxlabel("1 - specificity", fontsize=9)
    figure.supylabel("sensitivity", fontsize=9)
    figure.savefig(path, dpi=130)


def plot_auroc(report: Mapping[str, Any], path: Path) -> None:
    """AUROC with its interval, a line a disease, and the paper's figure where there is one."""
    from matplotlib.figure import Figure

    table = report["auroc"]
    lines = [(display_name(label), d["auroc"], d["paper"]) for label, d in table["diseases"].items()]
    lines.append(("Mean", table["mean"], (report["paper"] or {}).get("mean")))
    last = len(lines) - 1
    figure = Figure(figsize=(7.5, 5.5), layout="constrained")
    axes = figure.add_subplot()
    for row, (_, found, paper) in enumerate(lines):
        if found is not None:
            if found["low"] is not None:
                axes.plot([found["low"], found["high"]], [row, row], color=OURS, linewidth=2)
            axes.plot(found["value"], row, "o", color=OURS, label="ours, 95 % interval" if row == last else None)
        if paper is not None:
            axes.plot(paper, row, "D", color=THEIRS, markersize=4.5, label="paper" if row == last else None)
    axes.set_yticks(range(len(lines)), [name if found else f"{name} (not measurable)" for name, found, _ in lines])
    axes.invert_yaxis()
    axes.axvline(0.5, color=QUIET, linewidth=0.6, linestyle=":")
    axes.set(xlabel="AUROC", title=_title(report))
    axes.title.set_fontsize(10)
    axes.grid(axis="x", color="#e4e6ea", linewidth=0.6)
    axes.set_axisbelow(True)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(fontsize=8, loc="lower left")
    figure.savefig(path, dpi=130)
