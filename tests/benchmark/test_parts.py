"""The parts of a benchmark that can be held against something: percentiles, the plan, the advice, energy, the film."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import msgspec
import numpy as np
import pytest
from PIL import Image

from cxredge.benchmark.accuracy import accuracy_of, read_gate_reports
from cxredge.benchmark.advice import advise, best
from cxredge.benchmark.energy import Meter
from cxredge.benchmark.figures import percentile, spread
from cxredge.benchmark.memory import peak_mb
from cxredge.benchmark.plan import Asked, make_plan
from cxredge.benchmark.plot import _apart, draw
from cxredge.benchmark.record import STAGES, Combination, Report, Result
from cxredge.benchmark.sample import write_sample
from cxredge.benchmark.suite import _describe
from cxredge.benchmark.table import table
from cxredge.bundle import open_bundle
from cxredge.engines.base import PRECISIONS
from cxredge.errors import UsageError
from tests.support.benchmarked import accuracy, report_of, result


@pytest.mark.parametrize("count", [1, 2, 3, 10, 101])
def test_percentiles_are_numpys(count: int) -> None:
    values = np.random.default_rng(count).gamma(2.0, 10.0, count).tolist()
    for share in (0, 10, 50, 95, 99, 100):
        assert percentile(values, share) == pytest.approx(np.percentile(values, share), rel=1e-12)
    told = spread(values, digits=9)
    assert (told.p50, told.p95, told.p99) == pytest.approx(np.percentile(values, [50, 95, 99]).tolist(), rel=1e-6)
    assert (told.lowest, told.highest, told.runs) == (
        pytest.approx(min(values)),
        pytest.approx(max(values)),
        count,
    )


def test_everything_asked_for_ends_in_one_of_two_lists(tiny_bundle: Path) -> None:
    with open_bundle(tiny_bundle) as bundle:
        plan = make_plan(Asked(batches=(1, 4), threads=(1, 2)), bundle)
    assert len(set(map(msgspec.json.encode, plan.run))) == len(plan.run)
    run = {(one.engine, one.device, one.precision) for one in plan.run}
    left = {(one.engine, one.device, one.precision) for one in plan.not_run}
    assert not run & left
    assert ("onnxruntime", "cpu", "fp32") in run
    assert {one.batch for one in plan.run} == {1, 4}
    for precision in PRECISIONS:
        assert ("onnxruntime", "cpu", precision) in run | left
    assert {name for name, *_ in run | left} == {"onnxruntime", "openvino", "tensorrt"}
    assert all(one.reason and one.code for one in plan.not_run)
    assert any(engine == "onnxruntime" and device == "cuda" for engine, device, _ in run | left)


def test_a_precision_that_was_not_sealed_is_named_with_the_reason(gated_bundle: Path) -> None:
    with open_bundle(gated_bundle) as bundle:  # it has no int8 graph
        plan = make_plan(Asked(engines=("onnxruntime",), devices=("cpu",), precisions=("int8", "fp32")), bundle)
    assert [one.precision for one in plan.run] == ["fp32"]
    assert [(one.precision, one.code) for one in plan.not_run] == [("int8", "precision_not_in_bundle")]


@pytest.mark.parametrize(
    "wrong", [{"engines": ("torch",)}, {"precisions": ("fp8",)}, {"batches": (0,)}, {"threads": (-1,)}]
)
def test_what_nothing_has_is_refused(wrong: dict[str, tuple[object, ...]]) -> None:
    with pytest.raises(UsageError):
        Asked(**wrong)  # type: ignore[arg-type]


def test_the_fastest_is_advised() -> None:
    slow, fast = result("onnxruntime", "fp32", 50.0), result("openvino", "fp32", 25.0)
    assert best([slow, fast]) is fast
    words = advise([slow, fast])
    assert words.startswith("On this machine use openvino fp32 on cpu: 25.0 ms")
    assert "2.0 times as fast as the next, onnxruntime fp32 on cpu" in words


def test_a_tenth_faster_is_not_worth_being_less_exact() -> None:
    exact, close, worth_it = result("a", "fp32", 22.0), result("b", "int8", 20.5), result("c", "int8", 15.0)
    assert best([close, exact]) is exact
    assert "more exact than b int8" in advise([close, exact])
    assert best([exact, close, worth_it]) is worth_it


def test_many_files_may_want_something_else() -> None:
    single, batched = result("a", "fp32", 20.0, rate=50.0), result("a", "fp32", 160.0, batch=8, rate=90.0)
    words = advise([single, batched])
    assert words.startswith("On this machine use a fp32 on cpu: 20.0 ms")
    assert "a fp32 on cpu, batch 8 gives 90.0 images a second against 50.0" in words


def test_nothing_measured_is_said() -> None:
    assert advise([]).startswith("Nothing could be measured")


def test_accuracy_is_the_gate_reports_own() -> None:
    mean = {"fp32": 0.81, "int8": 0.808, "drop": {"value": 0.002, "low": 0.0, "high": 0.004}}
    cases = {"images": 300}
    reports = {"int8": {"engines": [{"engine": "openvino", "mean_auroc": mean}], "cases": cases}}

    def of(engine: str, precision: str):
        return accuracy_of(
            reports, Combination(engine=engine, device="cpu", precision=precision, batch=1, threads=None)
        )

    int8, _ = of("openvino", "int8")
    assert int8 is not None
    assert (int8.mean_auroc, int8.mean_auroc_drop, int8.cases) == (0.808, 0.002, 300)
    fp32, _ = of("openvino", "fp32")
    assert fp32 is not None
    assert (fp32.mean_auroc, fp32.mean_auroc_drop) == (0.81, None)
    assert of("openvino", "bf16") == (None, "no gate report compares bf16")
    mean = {"fp32": 0.81, "bf16": 0.809, "drop": {"value": 0.001, "low": 0.0, "high": 0.002}}
    reports["bf16"] = {"engines": [{"engine": "openvino", "mean_auroc": mean}], "cases": cases}
    bf16, _ = of("openvino", "bf16")
    assert bf16 is not None
    assert (bf16.mean_auroc, bf16.mean_auroc_drop) == (0.809, 0.001)
    assert of("onnxruntime", "int8") == (None, "the gate report has no mean AUROC on onnxruntime")


def test_a_bundle_without_a_gate_report_says_so(tiny_bundle: Path) -> None:
    with open_bundle(tiny_bundle) as bundle:
        assert read_gate_reports(bundle) == {}


def zone(folder: Path, name: str, microjoules: int) -> Path:
    place = folder / name
    place.mkdir(parents=True, exist_ok=True)
    for file, text in (("name", "package-0"), ("energy_uj", str(microjoules)), ("max_energy_range_uj", "1000000000")):
        (place / file).write_text(f"{text}\n", encoding="ascii")
    return place


def test_energy_of_the_packages_and_not_of_their_parts(tmp_path: Path) -> None:
    zone(tmp_path, "intel-rapl:0", 5_000_000)
    zone(tmp_path, "intel-rapl:0:0", 1_000_000)
    meter = Meter(tmp_path)
    meter.start()
    zone(tmp_path, "intel-rapl:0", 25_000_000)
    (spent,) = [one for one in meter.stop(10) if one.source.startswith("RAPL")]
    assert (spent.joules, spent.joules_an_image) == (20.0, 2.0)


def test_an_energy_counter_that_began_anew(tmp_path: Path) -> None:
    zone(tmp_path, "intel-rapl:0", 990_000_000)
    meter = Meter(tmp_path)
    meter.start()
    zone(tmp_path, "intel-rapl:0", 10_000_000)
    (spent,) = [one for one in meter.stop(1) if one.source.startswith("RAPL")]
    assert spent.joules == 20.0


def test_no_counter_is_said(tmp_path: Path) -> None:
    meter = Meter(tmp_path)
    meter.start()
    assert meter.stop(1) or "no counter of energy" in meter.reason


def test_peak_memory_grows_with_what_is_held() -> None:
    before = peak_mb()
    if before is None:
        pytest.skip("this system does not tell")
    held = np.ones((int(before) + 200) * 2**20, np.uint8)  # more than any test before can have held
    after = peak_mb()
    assert after is not None
    assert after > before + 100
    assert held[-1] == 1


def test_the_drawn_film_can_be_read_and_is_bright_where_the_golden_picture_is(tiny_bundle: Path, tmp_path) -> None:
    from cxredge.pixels import Geometry, Percentiles
    from cxredge.reading import open_source, read_plane

    with open_bundle(tiny_bundle) as bundle:
        path = write_sample(bundle, tmp_path / "film.dcm", 600, 500)
        told = _describe(bundle, path, made=True)
        golden = bundle.golden().input[0, 0]
    plane = read_plane(open_source(path), Geometry(*golden.shape, "stretch"), Percentiles())[0]
    assert (told.rows, told.columns) == (600, 500)
    assert np.corrcoef(plane.ravel(), golden.ravel())[0, 1] > 0.95


def combined() -> Report:
    one, two = result("onnxruntime", "fp32", 40.0), result("openvino", "int8", 12.0, accuracy=accuracy(0.8))
    return report_of(one, two)


def test_a_busy_machine_is_told() -> None:
    report = combined()
    busy = msgspec.structs.replace(report, machine=msgspec.structs.replace(report.machine, load=1.7))
    assert "load 1.7" in table(busy)
    assert "load" not in table(report)
    assert draw(busy) != draw(report)


def test_the_table_holds_every_result_and_every_reason() -> None:
    report = combined()
    text = table(report)
    for stage in STAGES:
        assert stage in text
    assert "onnxruntime cpu fp32" in text
    assert "0.800" in text
    assert "tensorrt: tensorrt is not installed (engine_missing)" in text
    assert text.endswith(report.advice)


def test_the_bars_are_as_long_as_the_stages_take(tmp_path: Path) -> None:
    """Pixels of the engine's colour, beside the other result's: as 40 to 12."""
    (tmp_path / "plot.png").write_bytes(draw(combined()))
    picture = np.asarray(Image.open(tmp_path / "plot.png").convert("RGB"))
    engine = (picture == (0x00, 0x72, 0xB2)).all(axis=2)
    bars = sorted({int(n) for n in engine.sum(axis=1) if n > 40}, reverse=True)
    assert bars[0] / bars[-1] == pytest.approx(40 / 12, rel=0.05)


def test_names_of_equally_good_combinations_do_not_cover_each_other() -> None:
    places = [100.0, 100.5, 101.0, 300.0]
    moved = _apart(places, 26)
    assert all(b - a >= 26 for a, b in pairwise(moved))
    assert sum(moved) == pytest.approx(sum(places))
    assert moved[3] == pytest.approx(300, abs=26)
    assert _apart([], 26) == []


def test_a_picture_of_nothing_is_drawn_too() -> None:
    assert draw(report_of())[:4] == b"\x89PNG"


def test_results_survive_json() -> None:
    report = combined()
    assert msgspec.json.decode(msgspec.json.encode(report), type=Report) == report
    assert isinstance(report.results[0], Result)
