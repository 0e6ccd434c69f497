"""The report as plain data, and as Markdown. Every table names its split."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import numpy as np

from cxredge.result import LABELS, STRUCTURES, display_name
from training.checkpoint import Facts, SplitFacts
from training.data import Person
from training.evaluate.bootstrap import Interval, auroc_intervals, mean_interval, rate_intervals
from training.evaluate.groups import groups, groups_part
from training.evaluate.localise import RULE
from training.evaluate.points import RULES, choose
from training.evaluate.predict import Found
from training.evaluate.ratio import ratio_part, ratios
from training.evaluate.scores import counts_at, measurable, roc_curve
from training.evaluate.tables import markdown_table, split_words
from training.recipes import Paper

__all__ = ["SCHEMA", "curves", "markdown", "score"]

SCHEMA = "cxredge.evaluation/1"

LEVELS = (0.1, 0.3, 0.5)
"""Least IoU of a box that counts as met."""


def score(
    facts: Facts,
    name: str,
    split: SplitFacts,
    test: Found,
    patients: Sequence[str],
    validation: Found | None,
    paper: Paper | None,
    *,
    people: Sequence[Person] = (),
    threshold: float = 0.5,
    resamples: int = 1000,
    seed: int = 0,
) -> dict[str, Any]:
    """Everything that is reported, as plain data of `cxredge.evaluation/1`.

    Args:
        facts: of the checkpoint.
        name: of the data set.
        split: its division; the scores are on its test fold.
        test: what the network said of that fold.
        patients: of each of its images.
        validation: what it said of the fold that thresholds are chosen on; None where there is none.
        paper: the figures to print beside; None where no paper has any for this data set.
        people: what is known of each of the fold's images beside its labels.
        threshold: of heat maps.
        resamples: of the bootstrap.
        seed: of the bootstrap.
    """
    how = {"resamples": resamples, "seed": seed}
    each, mean = auroc_intervals(test.truth, test.logits, patients, **how)
    told = msgspec.to_builtins(split)
    return {
        "schema": SCHEMA,
        "checkpoint": {
            "method": facts.method,
            "recipe": facts.recipe["name"],
            "departures": list(facts.departures),
            "stage": facts.stage,
            "epoch": facts.epoch,
            "split": msgspec.to_builtins(facts.split),
            "versions": facts.versions,
        },
        "data": {"name": name, "images": len(test.logits), "patients": len(set(patients)), "split": told},
        "interval": f"95 %, percentile bootstrap over patients, {resamples} resamples",
        "auroc": {"split": told, "mean": _interval(mean), "diseases": _diseases(test, each, paper)},
        "not_measurable": _not_measurable(test),
        "within": groups(test, people, patients, **how),
        "points": {"split": told, **_points(test, validation, patients, how)},
        "boxes": {"split": told, "rule": RULE.format(threshold=threshold), **_boxes(test, patients, paper, how)},
        "masks": {"split": told, "structures": _masks(test, patients, how)},
        "ratio": _ratio(facts, test, people, patients, how),
        "paper": None if paper is None else {**msgspec.to_builtins(paper), "comparable": _comparable(paper, split)},
    }


def _comparable(paper: Paper, split: SplitFacts) -> bool:
    return paper.split == "official" and split.official


def _number(value: float) -> float | None:
    return None if math.isnan(value) else value


def _interval(found: Interval | None) -> dict[str, Any] | None:
    if found is None or math.isnan(found.value):
        return None
    low, high = _number(found.low), _number(found.high)
    return {"value": found.value, "low": low, "high": high, "resamples": found.resamples}


def _diseases(test: Found, each: Mapping[int, Interval], paper: Paper | None) -> dict[str, Any]:
    figures = paper.auroc if paper else {}
    return {
        label: {
            "positives": int((test.truth[:, c] == 1).sum()),
            "negatives": int((test.truth[:, c] == 0).sum()),
            "auroc": _interval(each.get(c)),
            "paper": figures.get(label),
        }
        for c, label in enumerate(LABELS)
    }


def _not_measurable(test: Found) -> dict[str, str]:
    """Why a disease has no AUROC, by name."""
    found = {}
    for c in np.flatnonzero(~measurable(test.truth)):
        yes, no = int((test.truth[:, c] == 1).sum()), int((test.truth[:, c] == 0).sum())
        what = "no image says yes or no" if not yes + no else f"no {'negative' if yes else 'positive'} of {yes + no}"
        found[LABELS[c]] = what
    return found


def _points(test: Found, validation: Found | None, patients: Sequence[str], how: dict[str, int]) -> dict[str, Any]:
    """Rates at thresholds that were chosen on the validation fold."""
    if validation is None:
        return {"chosen_on": None, "rules": RULES, "diseases": {}, "means": {}}
    both = measurable(test.truth) & measurable(validation.truth)
    found: dict[str, dict[str, Any]] = {}
    for c in np.flatnonzero(both):
        chosen = choose(validation.truth[:, c], validation.logits[:, c])
        found[LABELS[c]] = {name: _rates(test, int(c), value, patients, how) for name, value in chosen.items()}
    means = {
        point: {
            rate: float(np.mean([_value(found[label][point][rate]) for label in found]))
            for rate in ("accuracy", "sensitivity", "specificity", "f1")
        }
        for point in (RULES if found else ())
    }
    return {"chosen_on": "validation", "rules": RULES, "diseases": found, "means": means}


def _value(rate: Any) -> float:
    return float(rate["value"] if isinstance(rate, dict) else rate)


def _rates(test: Found, c: int, threshold: float, patients: Sequence[str], how: dict[str, int]) -> dict[str, Any]:
    truth, scores = test.truth[:, c], test.logits[:, c]
    counts = counts_at(truth, scores, threshold)
    called = scores >= threshold
    part, whole = np.stack([called, ~called], 1), np.stack([truth == 1, truth == 0], 1)
    sensitivity, specificity = rate_intervals(part, whole, patients, **how)
    return {
        "threshold_logit": threshold if math.isfinite(threshold) else None,
        "accuracy": counts.accuracy,
        "sensitivity": _interval(sensitivity),
        "specificity": _interval(specificity),
        "f1": counts.f1,
        "tp": counts.tp,
        "fp": counts.fp,
        "fn": counts.fn,
        "tn": counts.tn,
    }


def _boxes(test: Found, patients: Sequence[str], paper: Paper | None, how: dict[str, int]) -> dict[str, Any]:
    figures = paper.iou if paper else {}
    means: list[float] = []
    found: dict[str, dict[str, Any]] = {}
    for label in LABELS:
        here = [box for box in test.boxes if box.label == label]
        if not here:
            continue
        values = np.array([box.iou for box in here])
        means.append(float(values.mean()))
        owners = [patients[box.sample] for box in here]
        found[label] = {
            "boxes": len(here),
            "iou": _interval(mean_interval(values, owners, **how)),
            "met": {f"{level:g}": float((values >= level).mean()) for level in LEVELS},
            "paper": figures.get(label),
        }
    mean = float(np.mean(means)) if means else None
    return {"mean": mean, "diseases": found}


def _masks(test: Found, patients: Sequence[str], how: dict[str, int]) -> dict[str, Any]:
    return {
        name: {
            "images": int((~np.isnan(test.dice[:, k])).sum()),
            "dice": _interval(mean_interval(test.dice[:, k], patients, **how)),
            "dice_cleaned": _interval(mean_interval(test.dice_cleaned[:, k], patients, **how)),
        }
        for k, name in enumerate(STRUCTURES)
    }


def _ratio(
    facts: Facts, test: Found, people: Sequence[Person], patients: Sequence[str], how: dict[str, int]
) -> dict[str, Any]:
    """Nothing where the network never learned to outline."""
    if not facts.learned("unet"):
        return {}
    return ratios(test.ratios[:, 0], test.ratios[:, 1], test.truth, people, patients, **how)


def curves(test: Found) -> dict[str, Any]:
    """The ROC curve of each disease that can be measured, as lists."""
    found = {}
    for c in np.flatnonzero(measurable(test.truth)):
        curve = roc_curve(test.truth[:, c], test.logits[:, c])
        found[LABELS[c]] = {
            "false_positive_rate": curve.false_positive_rate.tolist(),
            "true_positive_rate": curve.true_positive_rate.tolist(),
        }
    return found


# Markdown


def markdown(report: Mapping[str, Any]) -> str:
    """The report for people."""
    made, data = report["checkpoint"], report["data"]
    said = "; ".join(made["departures"]) or "none"
    summary = (
        f"Recipe `{made['recipe']}` (departures: {said}), stage {made['stage']}, epoch {made['epoch']}. "
        f"{data['images']} images of {data['patients']} patients. Split: {split_words(data['split'])}, sha256 "
        f"`{data['split']['sha256']}`. Intervals: {report['interval']}."
    )
    parts = [
        f"# {made['method']} on {data['name']}",
        summary,
        *_auroc_part(report),
        *groups_part(report["within"], split_words(data["split"])),
        *_points_part(report["points"], report["paper"]),
        *_boxes_part(report["boxes"]),
        *_masks_part(report["masks"]),
        *ratio_part(report["ratio"], split_words(data["split"])),
    ]
    if report["paper"] and report["paper"]["silent"]:
        parts += ["## What the paper leaves open", "\n".join(f"- {line}" for line in report["paper"]["silent"])]
    return "\n\n".join(parts) + "\n"


def _caption(what: str, split: Mapping[str, Any]) -> str:
    return f"{what} Split: **{split_words(split)}**."


def _shown(found: Mapping[str, Any] | None) -> str:
    if found is None:
        return "not measurable"
    if found["low"] is None:
        return f"{found['value']:.4f} (no interval)"
    return f"{found['value']:.4f} ({found['low']:.4f} to {found['high']:.4f})"


def _figure(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"


def _auroc_part(report: Mapping[str, Any]) -> list[str]:
    paper, table = report["paper"], report["auroc"]
    if table["mean"] is None:
        return ["## AUROC", "Not measurable: no disease has an image that is known to have it and one that has not."]
    rows = [
        [display_name(label), str(d["positives"]), str(d["negatives"]), _shown(d["auroc"]), _figure(d["paper"])]
        for label, d in table["diseases"].items()
    ]
    rows.append(["**Mean**", "", "", _shown(table["mean"]), _figure(paper["mean"] if paper else None)])
    parts = [
        "## AUROC",
        _caption("Ours with the 95 % interval; the paper's figure beside it.", table["split"]),
        markdown_table(["Disease", "Positives", "Negatives", "AUROC", "Paper"], rows),
    ]
    if paper:
        same = "" if paper["comparable"] else " **Not comparable: another split, or another data set.**"
        parts.append(f"Paper: {paper['title']}. Its split: {paper['split']}.{same}")
    if report["not_measurable"]:
        named = "; ".join(f"{display_name(label)} ({why})" for label, why in report["not_measurable"].items())
        parts.append(f"Not measurable: {named}.")
    return parts


def _points_part(table: Mapping[str, Any], paper: Mapping[str, Any] | None) -> list[str]:
    if table["chosen_on"] is None:
        return ["## Operating points", "None: there is no validation fold to choose thresholds on."]
    if not table["diseases"]:
        return ["## Operating points", "None: no disease can be measured on both folds."]
    parts = ["## Operating points"]
    for point, rule in table["rules"].items():
        rows = [
            [
                display_name(label),
                f"{d[point]['accuracy']:.3f}",
                _shown(d[point]["sensitivity"]),
                _shown(d[point]["specificity"]),
                f"{d[point]['f1']:.3f}",
            ]
            for label, d in table["diseases"].items()
        ]
        if point in table["means"]:
            rows.append(["**Mean**", *(f"{value:.3f}" for value in table["means"][point].values())])
        if point == "balanced" and paper and paper["accuracy"] is not None:
            names = ("accuracy", "sensitivity", "specificity", "f1")
            rows.append(["Paper's mean", *(f"{paper[name]:.3f}" for name in names)])
        what = f"`{point}`: {rule}, chosen on the validation fold, judged on the test fold."
        parts += [_caption(what, table["split"])]
        parts += [markdown_table(["Disease", "Accuracy", "Sensitivity", "Specificity", "F1"], rows)]
    return parts


def _boxes_part(table: Mapping[str, Any]) -> list[str]:
    if not table["diseases"]:
        return []
    rows = [
        [
            display_name(label),
            str(d["boxes"]),
            _shown(d["iou"]),
            *(f"{share:.3f}" for share in d["met"].values()),
            _figure(d["paper"]),
        ]
        for label, d in table["diseases"].items()
    ]
    rows.append(["**Mean**", "", f"{table['mean']:.4f}", *[""] * len(LEVELS), ""])
    head = ["Disease", "Boxes", "IoU", *(f"IoU >= {level:g}" for level in LEVELS), "Paper"]
    return ["## Boxes of heat maps", _caption(f"Rule: {table['rule']}.", table["split"]), markdown_table(head, rows)]


def _masks_part(table: Mapping[str, Any]) -> list[str]:
    rows = [
        [display_name(name), str(d["images"]), _shown(d["dice"]), _shown(d["dice_cleaned"])]
        for name, d in table["structures"].items()
        if d["images"]
    ]
    if not rows:
        return []
    what = "At 0.5, as the U-Net gives them and as the runtime cleans them, on the masks' grid."
    said = _caption(what, table["split"])
    return ["## Dice of masks", said, markdown_table(["Structure", "Images", "Dice", "Dice, cleaned"], rows)]
