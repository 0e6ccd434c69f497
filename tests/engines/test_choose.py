"""What "auto" becomes: measured in child processes, remembered, and honest about what failed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cxredge.bundle import Bundle, open_bundle, write_bundle
from cxredge.engines import catalog
from cxredge.engines.base import AUTO, EngineRequest
from cxredge.engines.measure import Measurement, best, candidates, measure_all
from cxredge.engines.registry import choose, open_session
from cxredge.errors import Code, CxredgeError, EngineError
from tests.support.tiny_bundle import sample_images, tiny_files, tiny_manifest


def refused(bundle: Bundle, request: EngineRequest) -> CxredgeError:
    with pytest.raises(CxredgeError) as caught:
        choose(bundle, request)
    return caught.value


def test_auto_ends_in_a_session(bundle: Bundle, cache: Path) -> None:
    """Everything left open: every installed way is measured, and what is opened is what was chosen."""
    choice = choose(bundle, AUTO)
    ways = {(m.engine, m.precision) for m in choice.measurements}
    assert {("onnxruntime", "fp32"), ("onnxruntime", "int8")} <= ways
    if catalog.engine("openvino").availability().ok:
        assert {("openvino", "fp32"), ("openvino", "int8")} <= ways
    assert not choice.remembered and "auto" not in (
        choice.request.engine,
        choice.request.device,
        choice.request.precision,
    )
    with open_session(bundle.graph(choice.graph_precision), choice.request) as session:
        info = session.info
        session.run(sample_images(1))
    assert (info.engine, info.device, info.precision) == (
        choice.request.engine, choice.request.device, choice.request.precision,
    )  # fmt: skip


def test_a_choice_is_remembered(bundle: Bundle, rogue: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROGUE_DEVICES", "slow,good")
    first = choose(bundle, EngineRequest("rogue"))
    assert first.request.device == "good" and not first.remembered
    monkeypatch.setenv("CXREDGE_PYTHON", "/nowhere/python")  # nothing can be measured now
    again = choose(bundle, EngineRequest("rogue"))
    assert again.remembered and again.request == first.request and again.measurements == first.measurements


def test_failures_are_told_and_passed_over(bundle: Bundle, rogue: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROGUE_DEVICES", "segfault,hang,nan,wrong-answer,good")
    choice = choose(bundle, EngineRequest("rogue"), limit_seconds=5)
    assert choice.request.device == "good"
    codes = {m.device: m.code for m in choice.measurements}
    assert codes == {
        "segfault": "engine_crashed", "hang": "engine_timeout", "nan": "engine_output", "wrong-answer": "bundle_golden",
        "good": None,
    }  # fmt: skip


def test_when_nothing_works(bundle: Bundle, rogue: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROGUE_DEVICES", "segfault,abort")
    error = refused(bundle, EngineRequest("rogue"))
    assert error.code is Code.ENGINE_CRASHED and "segfault" in error.detail and "abort" in error.detail
    monkeypatch.setenv("ROGUE_DEVICES", "segfault,nan")
    assert refused(bundle, EngineRequest("rogue")).code is Code.ENGINE_FAILED


def test_an_update_or_a_lost_device_measures_again(
    bundle: Bundle, rogue: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROGUE_DEVICES", "good,slow")
    assert choose(bundle, EngineRequest("rogue")).request.device == "good"
    monkeypatch.setenv("ROGUE_DEVICES", "slow,fussy")
    lost = choose(bundle, EngineRequest("rogue"))
    assert not lost.remembered and lost.request.device == "fussy"
    monkeypatch.setenv("ROGUE_VERSION", "2.0")
    assert not choose(bundle, EngineRequest("rogue")).remembered
    assert choose(bundle, EngineRequest("rogue")).remembered
    assert not choose(bundle, EngineRequest("rogue"), refresh=True).remembered


@pytest.mark.parametrize("text", ["", "{", "[]", '{"facts": 1}'])
def test_a_damaged_memory_is_measured_again(
    bundle: Bundle, rogue: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.setenv("ROGUE_DEVICES", "good,fussy")
    choose(bundle, EngineRequest("rogue"))
    (memory,) = (path for path in cache.glob("*.json") if "chosen" in path.read_text(encoding="utf-8"))
    good = json.loads(memory.read_text(encoding="utf-8"))
    memory.write_text(text, encoding="utf-8")
    assert not choose(bundle, EngineRequest("rogue")).remembered
    assert json.loads(memory.read_text(encoding="utf-8"))["facts"] == good["facts"]
    memory.write_text(json.dumps({**good, "chosen": {**good["chosen"], "engine": "gone"}}), encoding="utf-8")
    assert not choose(bundle, EngineRequest("rogue")).remembered


def test_one_way_needs_no_measurement(bundle: Bundle, rogue: Path) -> None:
    choice = choose(bundle, EngineRequest("rogue", "good"))
    assert choice.measurements == () and choice.request == EngineRequest("rogue", "good", "fp32", None)
    assert not rogue.exists()


def test_threads_are_kept(bundle: Bundle, rogue: Path) -> None:
    assert choose(bundle, EngineRequest("rogue", "good", threads=3)).request.threads == 3


def test_what_cannot_be_is_refused(bundle: Bundle) -> None:
    for request, code in (
        (EngineRequest("tvm"), Code.ENGINE_UNKNOWN),
        (EngineRequest(device="tpu"), Code.DEVICE_MISSING),
        (EngineRequest("onnxruntime", "tpu"), Code.DEVICE_MISSING),
        (EngineRequest(precision="fp8"), Code.PRECISION_UNSUPPORTED),
        (EngineRequest(precision="fp16"), Code.PRECISION_NOT_IN_BUNDLE),
        (EngineRequest("onnxruntime", precision="bf16"), Code.PRECISION_UNSUPPORTED),
        (EngineRequest(threads=0), Code.BAD_ARGUMENT),
    ):
        assert refused(bundle, request).code is code, request


def test_an_engine_that_is_not_installed(bundle: Bundle) -> None:
    if catalog.engine("tensorrt").availability().ok:
        pytest.skip("tensorrt is installed here")
    error = refused(bundle, EngineRequest("tensorrt"))
    assert error.code is Code.ENGINE_MISSING and "pip install" in error.detail


def test_a_bundle_says_which_engines_may_run_a_graph(tmp_path: Path) -> None:
    tree = tiny_manifest(int8=False)
    tree["graphs"]["fp32"]["engines"] = ["onnxruntime"]
    with open_bundle(write_bundle(tmp_path / "x.cxr", tree, tiny_files(int8=False))) as bundle:
        assert {way.engine for way in candidates(bundle, AUTO)} == {"onnxruntime"}
        assert refused(bundle, EngineRequest("openvino")).code is Code.PRECISION_UNSUPPORTED


def test_precisions_that_were_not_sealed_are_no_candidates(tmp_path: Path) -> None:
    tree = tiny_manifest(int8=False)
    del tree["golden"]["tolerance"]["bf16"]
    with open_bundle(write_bundle(tmp_path / "x.cxr", tree, tiny_files(int8=False))) as bundle:
        assert {way.precision for way in candidates(bundle, AUTO)} == {"fp32"}
        with pytest.raises(EngineError) as caught:
            open_session(bundle.graph("fp32"), EngineRequest("openvino", "cpu", "bf16"), cache_dir=tmp_path / "c")
    assert caught.value.code is Code.PRECISION_UNSUPPORTED


def test_the_same_measurements_twice_compile_once(bundle: Bundle, rogue: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROGUE_DEVICES", "good")
    first, second = (list(measure_all(bundle, EngineRequest("rogue"), seconds=0.0)) for _ in range(2))
    assert first[0].compile_ms is not None and second[0].compile_ms is None
    assert second[0].median_ms is not None and second[0].median_ms > 0
    assert rogue.read_text(encoding="utf-8").split() == ["good"]


def m(precision: str, median: float | None, engine: str = "a") -> Measurement:
    return Measurement(engine, "cpu", precision, None, median, None, None if median else "engine_failed")


@pytest.mark.parametrize(
    ("found", "wanted"),
    [
        ([m("fp32", 10), m("int8", 4)], 1),
        ([m("fp32", 4.3), m("int8", 4)], 0),  # not worth a less exact answer
        ([m("int8", 4), m("bf16", 4.1), m("fp32", 9)], 1),
        ([m("fp32", None), m("int8", 4)], 1),
        ([m("fp32", 10), m("fp32", 9.9, "b")], 1),
    ],
)
def test_best(found: list[Measurement], wanted: int) -> None:
    assert best(found) is found[wanted]
