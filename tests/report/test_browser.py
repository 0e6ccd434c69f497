"""The page in a real browser: switches switch, nothing is fetched, nothing is complained of, paper is enough."""

from __future__ import annotations

import io
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cxredge.report.html import Case, render_report
from tests.support.chromium import Browser, Page, find
from tests.support.records import HOSTILE, WHEN, full_case, ok_record, refused_record, with_text

VISIBLE = "(id => { const e = document.getElementById(id); return !!e && getComputedStyle(e).display !== 'none'; })"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    program = find()
    if program is None:
        pytest.skip("needs Chromium: install it, or name it in CXREDGE_CHROMIUM")
    with Browser(program) as running:
        yield running


@pytest.fixture
def opened(browser: Browser, tmp_path: Path) -> Iterator[Page]:
    yield show(browser, tmp_path, [full_case(rows=512, columns=430)])


def show(browser: Browser, folder: Path, cases: list[Case], *, scripts: bool = True) -> Page:
    file = folder / "report.html"
    file.write_bytes(render_report(cases, generated=WHEN).encode("utf-8"))
    return browser.open(file.as_uri(), scripts=scripts)


def visible(page: Page, layer: str) -> bool:
    return bool(page.evaluate(f"{VISIBLE}({layer!r})"))


def shown_maps(page: Page) -> list[int]:
    return [place for place in range(14) if visible(page, f"c1-heat-{place}")]


def region(page: Page, selector: str) -> np.ndarray:  # type: ignore[type-arg]
    """The pixels of one element on the screen."""
    box = page.evaluate(
        f"(() => {{ const e = document.querySelector({selector!r}); e.scrollIntoView({{block: 'nearest'}});"
        " const b = e.getBoundingClientRect(); return [b.left, b.top, b.right, b.bottom]; })()"
    )
    with Image.open(io.BytesIO(page.screenshot())) as screen:
        return np.asarray(screen.convert("RGB").crop(tuple(round(v) for v in box)), dtype=int)


def differing(one: np.ndarray, other: np.ndarray) -> int:  # type: ignore[type-arg]
    """How many pixels differ plainly; a part that is drawn anew may differ a little along its soft edges."""
    return int((abs(one - other).max(axis=2) > 25).sum())


@pytest.mark.parametrize("structure", ["left_lung", "right_lung", "heart"])
def test_each_outline_can_be_switched(opened: Page, structure: str) -> None:
    layer, box = f"c1-{structure}", f'input[data-shows="c1-{structure}"]'
    before = region(opened, ".picture > svg")
    assert visible(opened, layer)
    opened.click(box)
    assert not visible(opened, layer)
    after = region(opened, ".picture > svg")
    assert differing(before, after) > 1000, "no pixel of the outline went away"
    opened.click(box)
    assert visible(opened, layer)
    assert differing(region(opened, ".picture > svg"), before) < 50


def test_each_heat_map_can_be_shown_alone(opened: Page) -> None:
    assert shown_maps(opened) == [0]
    for place in (3, 13, 0):
        opened.click(f'input[data-shows="c1-heat-{place}"]')
        assert shown_maps(opened) == [place]
        title = opened.evaluate(f"document.querySelector('input[data-shows=\"c1-heat-{place}\"]').dataset.title")
        assert opened.evaluate("document.querySelector('[data-names]').textContent") == title
    with_heat = region(opened, ".picture > svg")
    opened.click('input[data-title="none"]')
    assert shown_maps(opened) == []
    assert (with_heat != region(opened, ".picture > svg")).any(axis=2).sum() > 1000


def test_the_strength_of_the_heat_map_follows_the_slider(opened: Page) -> None:
    selector, slider = ".picture > svg", "input[type=range]"
    assert float(opened.evaluate("document.getElementById('c1-heat').getAttribute('opacity')")) == 0.5
    medium = region(opened, selector)
    opened.evaluate(f"document.querySelector({slider!r}).focus()")
    opened.press("Home", 36)
    assert float(opened.evaluate("document.getElementById('c1-heat').getAttribute('opacity')")) == 0.0
    weak = region(opened, selector)
    opened.press("End", 35)
    strong = region(opened, selector)
    red_over_blue = [(picture[..., 0] - picture[..., 2]).sum() for picture in (weak, medium, strong)]
    assert red_over_blue[0] < red_over_blue[1] < red_over_blue[2]


def test_the_keyboard_reaches_everything(opened: Page) -> None:
    opened.evaluate("document.querySelector('input[data-shows=\"c1-heart\"]').focus()")
    opened.press(" ", 32)
    assert not visible(opened, "c1-heart")
    opened.evaluate("document.querySelector('input[data-shows=\"c1-heat-0\"]').focus()")
    opened.press("ArrowDown", 40)
    assert shown_maps(opened) == [1]
    named = "[...document.querySelectorAll('input')].every(e => e.closest('label')?.textContent.trim())"
    assert opened.evaluate(named), "an input without a name"


def test_nothing_is_fetched_and_nothing_complained_of(opened: Page) -> None:
    opened.click('input[data-shows="c1-heat-2"]')
    others = [url for url in opened.requests() if not url.startswith("data:")]
    assert len(others) == 1 and others[0].startswith("file:") and others[0].endswith("/report.html")
    assert opened.problems() == []


def test_the_policy_stops_what_a_page_could_be_made_to_do(opened: Page) -> None:
    """The test above would see a fetch: here one is tried on purpose, is refused, and is complained of."""
    blocked = opened.evaluate(
        "new Promise(done => { document.addEventListener('securitypolicyviolation', e => done(e.effectiveDirective));"
        " new Image().src = 'http://127.0.0.1:9/pixel.png'; setTimeout(() => done('not blocked'), 5000); })"
    )
    assert blocked == "img-src"
    for attempt in ("fetch('http://127.0.0.1:9/')", "navigator.sendBeacon('http://127.0.0.1:9/')"):
        opened.evaluate(f"Promise.resolve({attempt}).then(() => 0, () => 0)")
    ran = opened.evaluate(
        "(() => { const s = document.createElement('script'); s.textContent = 'window.injected = 1';"
        " document.body.append(s); return window.injected; })()"
    )
    assert ran is None
    assert len(opened.problems()) >= 3


def test_hostile_text_does_nothing(browser: Browser, tmp_path: Path) -> None:
    page = show(browser, tmp_path, [full_case(with_text(text)) for text in HOSTILE])
    assert page.problems() == []
    assert page.evaluate("document.querySelectorAll('img, iframe, script:not(body > script)').length") == 0
    assert page.evaluate("document.querySelectorAll('script').length") == 1
    headings = page.evaluate("[...document.querySelectorAll('dd')].map(e => e.textContent)")
    assert HOSTILE[0] in headings
    assert len([url for url in page.requests() if not url.startswith("data:")]) == 1


def test_it_reads_without_scripts(browser: Browser, tmp_path: Path) -> None:
    page = show(browser, tmp_path, [full_case()], scripts=False)
    assert visible(page, "c1-heart") and shown_maps(page) == [0]
    offered = "[...document.querySelectorAll('input')].some(e => e.offsetParent !== null)"
    assert page.evaluate(offered) is False, "a switch is offered that cannot work"
    assert "Pleural thickening" in page.evaluate("document.body.innerText")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_is_readable_in_light_and_dark(browser: Browser, tmp_path: Path, scheme: str) -> None:
    page = show(browser, tmp_path, [full_case(), Case(refused_record())])
    page.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
    for selector in ("body", ".quiet", ".positive .verdict", ".banner", ".reason", "code", "a"):
        ink, ground = page.evaluate(
            f"(() => {{ let e = document.querySelector({selector!r}); const ink = getComputedStyle(e).color; let g;"
            " do { g = getComputedStyle(e).backgroundColor; e = e.parentElement; }"
            " while (e && g === 'rgba(0, 0, 0, 0)'); return [ink, g]; })()"
        )
        assert contrast(ink, ground) >= 4.5, (selector, ink, ground)


def contrast(one: str, other: str) -> float:
    """WCAG 2's contrast ratio of two CSS colours."""

    def luminance(colour: str) -> float:
        value = np.array([float(v) for v in re.findall(r"[\d.]+", colour)[:3]]) / 255
        linear = np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)
        return float(linear @ (0.2126, 0.7152, 0.0722))

    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("width", [360, 800, 1900])
def test_it_fits_any_window(browser: Browser, tmp_path: Path, width: int) -> None:
    long = with_text("a-long-name-without-any-space-" * 8)
    opened = show(browser, tmp_path, [full_case(), full_case(long), Case(refused_record())])
    opened.call("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=False)
    assert opened.evaluate("document.documentElement.scrollWidth") <= width


def test_it_prints_on_a4(browser: Browser, tmp_path: Path) -> None:
    """One case takes at most two sheets even with a long path and many warnings; each further case starts a new one."""
    long = ok_record(warnings=ok_record().warnings * 4)
    one = show(browser, tmp_path, [full_case(long, rows=1024, columns=839)]).pdf()
    assert 1 <= len(sheets(one)) <= 2
    assert all(size == pytest.approx((595, 842), abs=2) for size in sheets(one))
    tall = show(browser, tmp_path, [full_case(rows=1024, columns=300)]).pdf()
    assert len(sheets(tall)) <= 2
    assert len(sheets(show(browser, tmp_path, [full_case(), full_case()]).pdf())) == 3


def sheets(pdf: bytes) -> list[tuple[float, float]]:
    """Width and height of every sheet in points."""
    assert pdf.startswith(b"%PDF")
    boxes = re.findall(rb"/MediaBox\s*\[\s*0\s+0\s+([\d.]+)\s+([\d.]+)\s*\]", pdf)
    assert len(boxes) == len(re.findall(rb"/Type\s*/Page\b(?!s)", pdf))
    return [(float(width), float(height)) for width, height in boxes]


def test_paper_shows_picture_and_numbers(browser: Browser, tmp_path: Path) -> None:
    if shutil.which("pdftotext") is None or shutil.which("pdftoppm") is None:
        pytest.skip("needs pdftotext and pdftoppm (poppler-utils)")
    file = tmp_path / "page.pdf"
    file.write_bytes(show(browser, tmp_path, [full_case(rows=512, columns=430)]).pdf())
    text = subprocess.run(["pdftotext", "-layout", file, "-"], capture_output=True, check=True).stdout.decode("utf-8")
    for needed in ("Effusion", "0.81", "0.40", "Demonstration", "tiny-test", "Heart"):
        assert needed in text
    assert "Pick a finding" not in text, "a hint that paper cannot follow"
    subprocess.run(["pdftoppm", "-r", "60", "-png", "-singlefile", file, tmp_path / "page"], check=True)
    with Image.open(tmp_path / "page.png") as sheet:
        colours = np.asarray(sheet.convert("RGB"), dtype=int)
    yellow = (colours[..., 0] - colours[..., 2] > 80) & (colours[..., 1] - colours[..., 2] > 40)
    assert yellow.sum() > 50, "no outline or banner on paper"
