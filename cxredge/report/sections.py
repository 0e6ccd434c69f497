"""The parts of the page: index, pictures, findings, warnings and facts. All foreign text is escaped here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape

import numpy as np
import numpy.typing as npt

from cxredge.report.pictures import HEAT_OPACITY, figure
from cxredge.report.style import COLOURS, NAMES, clean, numbers, ranked, ratio_text
from cxredge.result import STRUCTURES, Anatomy, Finding, Notice, Record, display_name

__all__ = ["case", "index"]

_STATUS = {"ok": "Result", "abstained": "Abstained: no findings", "error": "Error: no findings"}

Masks = Mapping[str, npt.NDArray[np.bool_]]
Maps = Mapping[str, npt.NDArray[np.float32]]


def _text(value: object) -> str:
    """Anything foreign as harmless HTML text, also inside a quoted attribute."""
    return escape(clean(str(value)), quote=True)


def _name(number: int, record: Record) -> str:
    """The file's own name, or the number of the image where there is no path."""
    path = (record.input.path or "").replace("\\", "/").rstrip("/")
    return path.rpartition("/")[2] or f"Image {number}"


def index(records: Sequence[Record]) -> str:
    """A table of all cases with links to each."""
    rows = "\n".join(_index_row(number, record) for number, record in enumerate(records, 1))
    heads = "".join(
        f'<th scope="col">{head}</th>' for head in ("Image", "Status", "Positive findings", "CTR", "Warnings")
    )
    return (
        '<nav class="index" aria-label="All images"><table>'
        "<caption>All images. CTR: cardiothoracic ratio; findings as probability / threshold</caption>"
        f"<thead><tr>{heads}</tr></thead>\n<tbody>{rows}</tbody></table></nav>"
    )


def _index_row(number: int, record: Record) -> str:
    ok = record.status == "ok"
    positives = [f"{_label(f.label)} {' / '.join(numbers(f))}" for f in ranked(record.findings) if f.positive]
    cells = (
        _STATUS[record.status] if ok or record.reason is None else f"{_STATUS[record.status]} ({record.reason.code})",
        "; ".join(positives) or ("none" if ok else ""),
        ratio_text(record) if ok else "",
        str(len(record.warnings) or ""),
    )
    link = f'<a href="#case-{number}">{number}. {_text(_name(number, record))}</a>'
    return f'<tr><th scope="row">{link}</th>' + "".join(f"<td>{_text(cell)}</td>" for cell in cells) + "</tr>"


def case(number: int, record: Record, image: npt.NDArray[np.uint8] | None, masks: Masks, maps: Maps) -> str:
    """One case: picture and findings side by side, the facts below."""
    if record.status != "ok":
        masks, maps = {}, {}
    prefix = f"c{number}"
    ordered = [(f.label, maps[f.label]) for f in ranked(record.findings) if f.label in maps]
    labels = [label for label, _ in ordered] if image is not None else []
    left = _picture(image, masks, ordered, prefix) if image is not None else ""
    right = _findings(record, labels, prefix) if record.status == "ok" else _reason(record)
    right += _warnings(record.warnings)
    body = f'<div class="columns">{left}<div>{right}</div></div>' if left else f"<div>{right}</div>"
    return (
        f'<article class="case" id="case-{number}" aria-labelledby="{prefix}-name">\n'
        f'<h2 id="{prefix}-name">{number}. {_text(_name(number, record))}</h2>\n'
        f"{body}\n{_details(record, image)}\n</article>"
    )


def _picture(
    image: npt.NDArray[np.uint8], masks: Masks, maps: list[tuple[str, npt.NDArray[np.float32]]], prefix: str
) -> str:
    present = [name for name in STRUCTURES if name in masks and masks[name].any()]
    description = f"Radiograph, {image.shape[1]} by {image.shape[0]} pixels"
    if present:
        description += ", with outlines of " + ", ".join(NAMES[name].lower() for name in present)
    if maps:
        description += f"; heat map of {display_name(clean(maps[0][0])).lower()} when the page opens"
    drawn = figure(image, {name: masks[name] for name in present}, maps, prefix=prefix, description=description + ".")
    key = "".join(_outline_switch(name, prefix) for name in present) + (
        _heat_switch(maps[0][0], prefix) if maps else ""
    )
    controls = f'<figcaption class="key">{key}</figcaption>' if key else ""
    return f'<figure class="picture">{drawn}{controls}</figure>'


def _outline_switch(structure: str, prefix: str) -> str:
    layer = f"{prefix}-{structure}"
    swatch = (
        '<svg viewBox="0 0 34 18" aria-hidden="true">'
        f'<line x1="3" y1="9" x2="31" y2="9" stroke="{COLOURS[structure]}" stroke-width="4"/></svg>'
    )
    box = f'<input type="checkbox" class="script-only" data-shows="{layer}" checked autocomplete="off">'
    return f'<label id="{layer}-key">{box}{swatch}{NAMES[structure]}</label>'


def _heat_switch(first: str, prefix: str) -> str:
    name = f"{prefix}-heat"
    return (
        f'<span class="item">Heat map: <strong data-names="{name}" aria-live="polite">{_label(first)}</strong></span>'
        f'<label class="script-only"><input type="radio" name="{name}" data-title="none" autocomplete="off">'
        " No heat map</label>"
        f'<label class="script-only">Strength <input type="range" min="0" max="100" value="{HEAT_OPACITY}" '
        f'data-fades="{name}" autocomplete="off"></label>'
    )


def _findings(record: Record, mapped: list[str], prefix: str) -> str:
    findings = ranked(record.findings)
    points = sorted({finding.operating_point for finding in findings})
    count = sum(finding.positive for finding in findings)
    heading = (
        f"{count} of {len(findings)} findings at or over their threshold"
        if count
        else "No finding reaches its threshold"
    )
    note = f"Operating point: {', '.join(map(_text, points))}."
    if mapped:
        note += '<span class="script-only"> Pick a finding to see its heat map.</span>'
    rows = "\n".join(_finding(finding, mapped, prefix, name_point=len(points) > 1) for finding in findings)
    heads = "".join(
        f'<th scope="col"{kind}>{head}</th>'
        for head, kind in (
            ("Finding", ""),
            ("0 &#8211; 1", ' class="bar"'),
            ("Probability", ' class="number"'),
            ("Threshold", ' class="number"'),
            ("Decision", ""),
        )
    )
    return (
        f'<h3>{heading}</h3>\n<p class="ratio">Cardiothoracic ratio: <strong>{ratio_text(record)}</strong></p>\n'
        f'<table class="findings"><caption>{note}</caption><thead><tr>{heads}</tr></thead>\n'
        f"<tbody>{rows}</tbody></table>"
    )


def _finding(finding: Finding, mapped: list[str], prefix: str, *, name_point: bool) -> str:
    probability, threshold = numbers(finding)
    title = _label(finding.label)
    if finding.label in mapped:
        place = mapped.index(finding.label)
        radio = (
            f'<input type="radio" class="script-only" name="{prefix}-heat" data-shows="{prefix}-heat-{place}" '
            f'data-title="{title}" autocomplete="off"{" checked" if place == 0 else ""}>'
        )
        title = f"<label>{radio}{title}</label>"
    verdict = "positive" if finding.positive else "below"
    point = f" ({_text(finding.operating_point)})" if name_point else ""
    row = '<tr class="positive">' if finding.positive else "<tr>"
    return (
        f'{row}<th scope="row">{title}</th><td class="bar">{_bar(finding)}</td><td class="number">{probability}</td>'
        f'<td class="number">{threshold}</td><td class="verdict">{verdict}{point}</td></tr>'
    )


def _bar(finding: Finding) -> str:
    """The probability as a bar with a mark at the threshold; the numbers beside it say the same."""
    mark = min(max(finding.threshold * 200, 1.0), 199.0)
    return (
        '<svg viewBox="0 0 200 12" preserveAspectRatio="none" aria-hidden="true">'
        '<rect class="track" x="0" y="2" width="200" height="8"/>'
        f'<rect class="fill" x="0" y="2" width="{finding.probability * 200:.1f}" height="8"/>'
        f'<rect class="mark" x="{mark - 1:.1f}" y="0" width="2" height="12"/></svg>'
    )


def _reason(record: Record) -> str:
    reason = record.reason
    text = f"{_text(reason.message)} <code>{_text(reason.code)}</code>" if reason is not None else ""
    return f'<p class="reason"><strong>{_STATUS[record.status]}</strong>{text}</p>'


def _warnings(warnings: Iterable[Notice]) -> str:
    items = "".join(f"<li>{_text(warning.message)} <code>{_text(warning.code)}</code></li>" for warning in warnings)
    return f'<h3>Warnings</h3><ul class="notices">{items}</ul>' if items else ""


def _details(record: Record, image: npt.NDArray[np.uint8] | None) -> str:
    parts = [("Input", _input(record, image))]
    if record.anatomy is not None:
        parts.append(("Anatomy", _anatomy(record.anatomy, record)))
    parts += [("Bundle and engine", _origin(record)), ("Time", _timing(record))]
    return '<div class="details">' + "".join(f"<section><h3>{t}</h3>{_list(f)}</section>" for t, f in parts) + "</div>"


def _list(facts: Iterable[tuple[str, str]]) -> str:
    return '<dl class="facts">' + "".join(f"<dt>{name}</dt><dd>{_text(value)}</dd>" for name, value in facts) + "</dl>"


def _input(record: Record, image: npt.NDArray[np.uint8] | None) -> list[tuple[str, str]]:
    known = record.input
    size = f"{known.columns} \u00d7 {known.rows} pixels" if known.columns and known.rows else None
    spacing = None
    if known.pixel_spacing is not None:
        at = f" at the {known.pixel_spacing_at}" if known.pixel_spacing_at else ""
        spacing = f"{known.pixel_spacing[0]:.4g} \u00d7 {known.pixel_spacing[1]:.4g} mm{at}"
    facts = [
        ("Path", known.path),
        ("SOP UID", known.sop_instance_uid),
        ("Width \u00d7 height", size),
        ("Modality", known.modality),
        ("View", known.view),
        ("Pixel spacing", spacing),
    ]
    shown = [] if image is None else [("Shown here", f"{image.shape[1]} \u00d7 {image.shape[0]} pixels, JPEG")]
    return [(name, value or "not known") for name, value in facts] + shown


def _anatomy(anatomy: Anatomy, record: Record) -> list[tuple[str, str]]:
    rows = []
    for structure in STRUCTURES:
        pixels, area = getattr(anatomy, f"{structure}_px"), getattr(anatomy, f"{structure}_mm2")
        metric = f"{area / 100:.1f} cm\u00b2, " if area is not None else ""
        rows.append((NAMES[structure], f"{metric}{pixels:.0f} pixels"))
    if anatomy.heart_mm2 is not None and record.input.pixel_spacing_at == "detector":
        rows.append(("Areas", "at the detector, larger than in the patient"))
    return rows


def _origin(record: Record) -> list[tuple[str, str]]:
    rows = []
    if record.bundle is not None:
        rows += [
            ("Bundle", f"{record.bundle.name} {record.bundle.version}"),
            ("Use", record.bundle.use),
            ("SHA-256", record.bundle.sha256),
        ]
    if record.ran is not None:
        ran = record.ran
        rows += [("Engine", f"{ran.engine} {ran.engine_version}"), ("Device", ran.device), ("Precision", ran.precision)]
        rows += [("Threads", str(ran.threads))] if ran.threads is not None else []
    if record.gate is not None:
        gate = record.gate
        rows.append(
            ("Gate", f"not a chest {gate.not_chest:.2f}, inverted {gate.inverted:.2f}, turned {gate.turned:.2f}")
        )
    return rows or [("Bundle", "none was asked")]


def _timing(record: Record) -> list[tuple[str, str]]:
    stages = ("read", "decode", "pixels", "engine", "postprocess", "total")
    return [(stage.capitalize(), f"{getattr(record.timing_ms, stage):.1f} ms") for stage in stages]


def _label(label: str) -> str:
    return _text(display_name(label))
