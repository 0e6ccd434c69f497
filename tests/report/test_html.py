"""The page as text: complete, self-contained, and unmoved by whatever a file says of itself."""

from __future__ import annotations

import base64
import hashlib
import html
import io
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from cxredge.errors import Code, UsageError
from cxredge.report.html import Case, render_report
from cxredge.result import LABELS, InputFacts, Notice, Record, display_name
from tests.support.records import (
    HOSTILE,
    WHEN,
    evidence_of,
    findings,
    full_case,
    image_of,
    masks_of,
    ok_record,
    refused_record,
    with_text,
)


class Shape(HTMLParser):
    """Tags, attribute names and text of a page: what must not depend on foreign text, and what it says."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, tuple[str, ...]]] = []
        self.values: list[tuple[str, str]] = []
        self.text = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, tuple(name for name, _ in attrs)))
        self.values += [(name, value or "") for name, value in attrs]

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.mark.parametrize("text", HOSTILE)
def test_foreign_text_changes_no_tag_and_is_shown_as_it_is(text: str) -> None:
    cases = [full_case(with_text(text)), Case(refused_record(reason=Notice(code=Code.INTERNAL, message=text)))]
    plain = [full_case(with_text("plain")), Case(refused_record(reason=Notice(code=Code.INTERNAL, message="plain")))]
    shape, expected = (Shape(render_report(each, generated=WHEN)) for each in (cases, plain))
    assert shape.tags == expected.tags
    shown = re.sub(r"[\x00-\x1f\u202e\udcff]", "\ufffd", text)
    assert shape.text.count(shown) > 8


@pytest.mark.parametrize("text", HOSTILE)
def test_any_text_can_be_written_as_utf8(text: str) -> None:
    page = render_report([full_case(with_text(text))], generated=WHEN)
    assert page.encode("utf-8").decode("utf-8") == page


def test_a_hostile_label_stays_text() -> None:
    """Labels come from the bundle's manifest, not from us."""
    label = '"><script>alert(1)</script>'
    renamed = tuple(
        f if f.label != "Effusion" else type(f)(**{n: getattr(f, n) for n in f.__struct_fields__} | {"label": label})
        for f in findings()
    )
    maps = {label: evidence_of(10, 10)}
    shape = Shape(render_report([Case(ok_record(findings=renamed), image_of(64, 64), None, maps)], generated=WHEN))
    assert [tag for tag, _ in shape.tags].count("script") == 1
    assert display_name(label) in shape.text


def test_the_page_needs_nothing_else() -> None:
    shape = Shape(render_report([full_case()], generated=WHEN))
    for name, value in shape.values:
        if name in {"src", "href", "data", "action", "poster", "srcset"}:
            assert value.startswith(("data:", "#")), (name, value[:60])
        assert not name.startswith("on") and name != "style", f"{name} would be stopped by the policy"
    assert "url(" not in shape.text and "@import" not in shape.text


def test_the_policy_allows_the_pages_own_style_and_script_only() -> None:
    page = render_report([full_case()], generated=WHEN)
    policy = html.unescape(re.search(r'Content-Security-Policy" content="([^"]*)"', page)[1])  # type: ignore[index]
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules["default-src"] == "'none'" and rules["img-src"] == "data:"
    assert "unsafe" not in policy
    for tag in ("style", "script"):
        content = re.search(rf"<{tag}>(.*?)</{tag}>", page, re.DOTALL)[1]  # type: ignore[index]
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert rules[f"{tag}-src"] == f"'sha256-{digest}'"


def test_everything_of_the_record_can_be_read() -> None:
    record = ok_record()
    shape = Shape(render_report([full_case(record)], generated=WHEN))
    needed = [
        *(display_name(label) for label in LABELS),
        *(f"{f.threshold:.2f}" for f in record.findings),
        *(w.message for w in record.warnings),
        *(
            "scan.dcm",
            "studies/scan.dcm",
            "1.2.826.0.1.3680043.8.498.1",
            "2048 \u00d7 2500",
            "DX",
            "PA",
            "0.143 \u00d7 0.143 mm",
        ),
        *(
            "at the detector",
            "0.52",
            "124.7 cm\u00b2",
            "610000 pixels",
            "tiny-test 1.0.0",
            "ab" * 32,
            "onnxruntime 1.23.0",
        ),
        *(
            "cpu",
            "fp32",
            "balanced",
            "not a chest 0.01",
            "61.3 ms",
            "2026-03-04 05:06 UTC",
            "Demonstration, not for diagnosis",
        ),
        *("260 \u00d7 300 pixels", "0.3996", "0.4000", "2 of 14 findings"),
    ]
    for text in needed:
        assert text in shape.text, text
    rows = re.findall(r'scope="row">.*?</tr>', render_report([full_case(record)], generated=WHEN), re.DOTALL)
    assert len(rows) == 14
    assert "Effusion" in rows[0] and "positive" in rows[0] and "Cardiomegaly" in rows[1]
    assert "below" in rows[2] and "Pneumonia" in rows[2]


def test_the_heat_maps_are_the_evidence_in_the_order_of_the_table() -> None:
    page = render_report([full_case()], generated=WHEN)
    maps = re.findall(r'<image id="c1-heat-(\d+)" class="(heat[^"]*)"[^>]*href="data:image/png;base64,([^"]*)"', page)
    assert [int(place) for place, _, _ in maps] == list(range(14))
    assert [kind for _, kind, _ in maps] == ["heat"] + ["heat off"] * 13
    first = np.asarray(Image.open(io.BytesIO(base64.b64decode(maps[0][2]))).convert("RGBA"))
    evidence = evidence_of(40, 35, (0.2 + 0.04 * LABELS.index("Effusion"), 0.5))
    assert first.shape == (40, 35, 4)
    assert (first[..., 3][evidence < 0.05] == 0).all() and (first[..., 3][evidence > 0.95] > 200).all()


def test_the_picture_is_the_image() -> None:
    case = full_case()
    page = render_report([case], generated=WHEN)
    data = re.search(r'href="data:image/jpeg;base64,([^"]*)"', page)[1]  # type: ignore[index]
    shown = np.asarray(Image.open(io.BytesIO(base64.b64decode(data))), dtype=int)
    assert case.image is not None and shown.shape == case.image.shape
    assert abs(shown - case.image).mean() < 1.5


@pytest.mark.parametrize("status", ["abstained", "error"])
def test_without_a_result_the_reason_takes_the_place_of_findings(status: str) -> None:
    record = refused_record(status)
    case = Case(record, image_of(100, 90), masks_of(100, 90), {"Mass": evidence_of(10, 9)})
    page = render_report([case], generated=WHEN)
    assert record.reason is not None and record.reason.message in Shape(page).text
    assert 'class="findings"' not in page and "c1-heart" not in page and "c1-heat-0" not in page


def test_an_error_without_a_picture_has_a_page_too() -> None:
    nothing = Record(
        input=InputFacts(), status="error", reason=Notice(code=Code.FILE_NOT_FOUND, message="There is none.")
    )
    shape = Shape(render_report([Case(nothing)], generated=WHEN))
    assert "There is none." in shape.text and "Image 1" in shape.text
    assert "image" not in [tag for tag, _ in shape.tags]


def test_several_cases_get_an_index_whose_links_lead_somewhere() -> None:
    cases = [full_case(), Case(refused_record()), Case(refused_record("error"))]
    shape = Shape(render_report(cases, generated=WHEN))
    links = [value for name, value in shape.values if name == "href" and value.startswith("#")]
    ids = [value for name, value in shape.values if name == "id"]
    assert links == ["#case-1", "#case-2", "#case-3"]
    assert set(links) <= {f"#{name}" for name in ids}
    assert len(ids) == len(set(ids)), "an id is given twice"
    assert "Effusion 0.81 / 0.40; Cardiomegaly 0.62 / 0.40" in shape.text and "lateral_view" in shape.text
    assert "<nav" not in render_report([full_case()], generated=WHEN)


def test_a_clinical_bundle_carries_no_demonstration_banner() -> None:
    assert "Demonstration" not in Shape(render_report([full_case(ok_record(clinical=True))], generated=WHEN)).text


def test_findings_at_several_operating_points_name_theirs() -> None:
    mixed = findings()[:7] + findings(point="screening")[7:]
    page = render_report([Case(ok_record(findings=mixed))], generated=WHEN)
    assert page.count("(balanced)") == 7 and page.count("(screening)") == 7


@pytest.mark.parametrize(
    "make",
    [
        lambda: render_report([], generated=WHEN),
        lambda: Case(ok_record(), np.zeros((4, 4), np.float32)),  # type: ignore[arg-type]
        lambda: Case(ok_record(), np.zeros((4, 4), np.uint8), {"heart": np.zeros((5, 4), bool)}),
        lambda: Case(ok_record(), None, {"heart": np.zeros((5, 4), bool)}),
        lambda: Case(ok_record(), np.zeros((4, 4), np.uint8), None, {"Mass": np.full((4, 4), np.nan, np.float32)}),
    ],
)
def test_what_does_not_fit_is_refused(make: object) -> None:
    with pytest.raises(UsageError) as caught:
        make()  # type: ignore[operator]
    assert caught.value.code is Code.BAD_ARGUMENT
