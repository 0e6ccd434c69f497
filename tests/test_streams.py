"""Many inputs at once: the same answers as one by one, in their order, and honest about what ran."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

import cxredge
from cxredge import streams
from cxredge.engines.base import usable_cores
from cxredge.errors import Code, EngineError
from cxredge.streams import FEWEST
from tests.support.dicom_files import write_dicom
from tests.support.phantom import draw_phantom

several_cores = pytest.mark.skipif(usable_cores() < 2, reason="one core: images are run one at a time")


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """As many as take the way of many, with a broken one and a missing one among them."""
    folder = tmp_path_factory.mktemp("films")
    found = []
    for seed in range(FEWEST - 2):
        image = draw_phantom(300 + seed, 250, seed=seed)
        found.append(
            write_dicom(folder / f"{seed}.dcm", image, window=(2048, 4096), tags={"BodyPartExamined": "CHEST"})
        )
    broken = folder / "broken.dcm"
    broken.write_bytes(found[0].read_bytes()[:2000])
    return [*found[:5], broken, *found[5:], folder / "missing.dcm"]


@pytest.fixture
def model(tiny_bundle: Path) -> Iterator[cxredge.Model]:
    with cxredge.load(tiny_bundle, engine="onnxruntime", precision="fp32") as loaded:
        yield loaded


@several_cores
def test_the_same_answers_in_the_same_order(model: cxredge.Model, films: list[Path]) -> None:
    at_once = list(model.predict_many(films))
    in_turn = list(model.predict_many(path for path in films))  # a generator does not tell its length
    assert [p.input.path for p in at_once] == [str(path) for path in films]
    assert [p.status for p in at_once] == [p.status for p in in_turn]
    assert [p.status for p in at_once].count("error") == 2
    for one, other in zip(at_once, in_turn, strict=True):
        for a, b in zip(one.findings, other.findings, strict=True):
            assert a.probability == pytest.approx(b.probability, abs=1e-5)
            assert (a.label, a.threshold, a.positive) == (b.label, b.threshold, b.positive)
        assert one.reason == other.reason
        assert {name: int(mask.sum()) for name, mask in one.masks.items()} == {
            name: int(mask.sum()) for name, mask in other.masks.items()
        }
    assert {p.ran.threads for p in at_once if p.ran} == {1}


@several_cores
def test_runs_overlap(model: cxredge.Model, films: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """Two images are in the engine at the same time: each waits there for the other."""
    list(model.predict_many(films))
    session = model._streams.for_inputs(films)
    meeting, run = threading.Barrier(2, timeout=30), session.run
    met = threading.Event()

    def waiting(image):
        if not met.is_set():
            meeting.wait()  # breaks, and fails the test, if no second image comes
            met.set()
        return run(image)

    monkeypatch.setattr(session, "run", waiting)
    assert [p.status for p in model.predict_many(films)].count("error") == 2
    assert met.is_set()


def test_few_inputs_or_a_wish_keep_one_at_a_time(model: cxredge.Model, films: list[Path], tiny_bundle: Path) -> None:
    for sources, options in ((films[:4], {}), (films, {"workers": 2}), (films, {"batch_size": 4})):
        assert {p.ran.threads for p in model.predict_many(sources, **options) if p.ran} == {model.ran.threads}
    with cxredge.load(tiny_bundle, engine="onnxruntime", precision="fp32", threads=2) as asked:
        assert {p.ran.threads for p in asked.predict_many(films) if p.ran} == {2}


@several_cores
def test_without_a_second_session_it_is_slower_and_says_so(
    tiny_bundle: Path, films: list[Path], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fails(*_: object) -> None:
        raise EngineError(Code.ENGINE_CRASHED, "onnxruntime")

    with cxredge.load(tiny_bundle, engine="onnxruntime", precision="fp32") as model:
        monkeypatch.setattr(streams, "open_session", fails)
        with caplog.at_level(logging.WARNING, logger="cxredge.engines"):
            answers = list(model.predict_many(films))
        assert {p.ran.threads for p in answers if p.ran} == {model.ran.threads}
        assert "one at a time" in caplog.text
        assert "engine_crashed" in caplog.text


@several_cores
def test_openvino_opens_a_stream_a_core(tiny_bundle: Path, films: list[Path]) -> None:
    with cxredge.load(tiny_bundle, engine="openvino", precision="fp32") as model:
        expected = [f.probability for f in model.predict(films[0]).findings]
        answers = list(model.predict_many(films))
        assert [f.probability for f in answers[0].findings] == pytest.approx(expected, abs=1e-5)
        assert {p.ran.threads for p in answers if p.ran} == {1}
