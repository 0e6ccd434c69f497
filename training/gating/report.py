"""The gate's report for people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from training.evaluate.tables import markdown_table
from training.gate import QUESTIONS

__all__ = ["files_markdown", "markdown"]

WORDS = {"not_chest": "no chest", "inverted": "inverted", "turned": "turned"}


def markdown(report: Mapping[str, Any]) -> str:
    """`cxredge.input_gate/1` as Markdown; it names no file."""
    made, chosen = report["checkpoint"], report["chosen"]
    limits = ", ".join(f"{WORDS[name]} {value:g}" for name, value in report["thresholds"].items())
    head = (
        f"Recipe `{made['recipe']}` (departures: {'; '.join(made['departures']) or 'none'}), checkpoint "
        f"`{made['sha256'][:12]}`. Thresholds: {limits}; each is {chosen['rule']} ({chosen['chests']} of "
        f"{', '.join(chosen['on'])})."
    )
    parts = [f"# The gate of {made['method']}", head]
    for title, folds in (("Validation", report["validation"]), ("Test", report["test"])):
        for fold in folds:
            parts += _fold(title, fold)
    if report["files"]:
        lines = [[folder["folder"], str(folder["read"]), str(folder["stopped"])] for folder in report["files"]]
        parts += ["## Folders, whatever the tags say", markdown_table(["Folder", "Read", "Stopped"], lines)]
    return "\n\n".join(parts) + "\n"


def _fold(title: str, fold: Mapping[str, Any]) -> list[str]:
    scores = [[WORDS[name], _scored(fold["auroc"][name])] for name in QUESTIONS]
    refused = fold["refused"]
    said = (
        f"Upright chests as they are that would be refused: {refused['value']:.2%} "
        f"({refused['low']:.2%} to {refused['high']:.2%}, exact 95 %). Of "
        f"{fold['others']['pictures']} pictures that are no chests, {fold['others']['stopped']} are stopped."
    )
    rows = [
        [kind, str(row["pictures"]), str(row["stopped"]), *(str(row[name]) for name in QUESTIONS)]
        for kind, row in fold["kinds"].items()
    ]
    head = ["Picture", "Number", "Stopped", *WORDS.values()]
    split = f"Split: {fold['split']['name']}."
    asked = markdown_table(["Question", "AUROC"], scores)
    return [f"## {title}: {fold['data']}", split, asked, said, markdown_table(head, rows)]


def _scored(found: Mapping[str, Any] | None) -> str:
    return "not measurable" if found is None else f"{found['value']:.4f} ({found['low']:.4f} to {found['high']:.4f})"


def files_markdown(report: Mapping[str, Any]) -> str:
    """What the gate says of each file of the folders, by name: a page of its own, for names may tell of patients."""
    parts = [f"# The gate of {report['checkpoint']['method']}, file by file"]
    for folder in report["files"]:
        parts += _folder(folder)
    return "\n\n".join(parts) + "\n"


def _folder(folder: Mapping[str, Any]) -> list[str]:
    rows = [
        [row["file"], *(f"{row[name]:.3f}" for name in QUESTIONS), "yes" if row["stopped"] else "no"]
        if row["unreadable"] is None
        else [row["file"], "", "", "", row["unreadable"]]
        for row in folder["rows"]
    ]
    said = (
        f"{folder['stopped']} of {folder['read']} files that can be read as a grey picture are stopped; tags were not "
        "looked at. Of the others the last column says why the runtime does not read them."
    )
    return [f"## {folder['folder']}", said, markdown_table(["File", *WORDS.values(), "Stopped"], rows)]
