"""The table of docs/dicom-results.md, made from the one table of codes: `python -m tests.support.coding_rows`."""

from __future__ import annotations

from cxredge.dicom_out import coding
from cxredge.dicom_out.coding import Concept
from cxredge.result import display_name


def _row(what: str, concept: Concept, site: str) -> str:
    return f'| {what} | ({concept.value}, {concept.scheme}, "{concept.meaning}") | {site} | {concept.sources} |'


def rows() -> list[str]:
    """One row a concept, the findings first."""
    found = [_row(display_name(label), row.finding, row.site.meaning) for label, row in coding.FINDINGS.items()]
    sites = {row.site for row in coding.FINDINGS.values()} | {coding.THORAX}
    others = {name: value for name, value in vars(coding).items() if isinstance(value, Concept) and name.isupper()}
    shown = {f"site: {site.meaning.lower()}": site for site in sorted(sites)}
    shown |= {f"side: {side.meaning.lower()}": side for side in coding.LATERALITY.values()}
    known = {row.finding for row in coding.FINDINGS.values()} | sites
    shown |= {name.lower().replace("_", " "): value for name, value in others.items() if value not in known}
    return found + [_row(what, concept, "") for what, concept in shown.items()]


if __name__ == "__main__":
    print("\n".join(["| what | code | site | looked up in |", "| --- | --- | --- | --- |", *rows()]))  # noqa: T201
