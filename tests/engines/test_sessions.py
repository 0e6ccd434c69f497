"""The real engines on the tiny bundle: the right answers, in every shape of use, and only what was asked for."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from cxredge.bundle import Bundle
from cxredge.engines import catalog
from cxredge.engines.base import CheckedSession, EngineInfo, EngineRequest, Job, Outputs, graph_precision, usable_cores
from cxredge.engines.opening import open_session
from cxredge.errors import BundleError, Code, CxredgeError, EngineError, UsageError
from tests.support.tiny_bundle import run_onnxruntime, sample_images

WAYS = [
    ("onnxruntime", "fp32"),
    ("onnxruntime", "int8"),
    ("openvino", "fp32"),
    ("openvino", "bf16"),
    ("openvino", "int8"),
]


def open_way(bundle: Bundle, name: str, precision: str, threads: int | None = None) -> CheckedSession:
    if not catalog.engine(name).availability().ok:
        pytest.skip(f"{name} is not installed")
    if precision not in catalog.engine(name).precisions("cpu"):
        pytest.skip(f"this processor has no {precision} for {name}")
    return open_session(bundle.graph(graph_precision(precision)), EngineRequest(name, "cpu", precision, threads))


@pytest.mark.parametrize(("name", "precision"), WAYS)
def test_answers(bundle: Bundle, name: str, precision: str) -> None:
    """Against onnxruntime without the package's own code, on images that are not the golden ones."""
    image = sample_images(3, seed=5)
    wanted = run_onnxruntime(bundle.graph("fp32").read(), image)
    with open_way(bundle, name, precision) as session:
        got = session.run(image)
    assert got.keys() == wanted.keys()
    allowed = {"fp32": 1e-4, "bf16": 0.1, "int8": 0.25}[precision]
    for key, values in wanted.items():
        assert got[key].dtype == np.float32 and got[key].shape == values.shape
        assert np.abs(got[key] - values).max() <= allowed, key


@pytest.mark.parametrize(("name", "precision"), WAYS)
def test_what_runs_is_read_back(bundle: Bundle, name: str, precision: str) -> None:
    with open_way(bundle, name, precision, threads=1) as session:
        info = session.info
    assert (info.engine, info.device, info.precision, info.threads) == (name, "cpu", precision, 1)
    assert info.version == catalog.engine(name).availability().version


def test_fp32_means_float32_in_openvino(bundle: Bundle) -> None:
    """OpenVINO takes bf16 by itself where the processor has it; the difference shows in the numbers."""
    image = sample_images(4, seed=6)
    wanted = run_onnxruntime(bundle.graph("fp32").read(), image)["logits"]
    with open_way(bundle, "openvino", "fp32") as fp32, open_way(bundle, "openvino", "bf16") as bf16:
        exact, rough = (np.abs(session.run(image)["logits"] - wanted).max() for session in (fp32, bf16))
    assert exact < 1e-4 < rough


@pytest.mark.parametrize("name", ["onnxruntime", "openvino"])
def test_every_batch_size(bundle: Bundle, name: str) -> None:
    image = sample_images(5, seed=7)
    with open_way(bundle, name, "fp32") as session:
        whole = session.run(image)["logits"]
        for count in (1, 2, 5, 3, 1):
            assert np.allclose(session.run(image[:count])["logits"], whole[:count], atol=1e-5)


@pytest.mark.parametrize("name", ["onnxruntime", "openvino"])
def test_eight_threads_share_a_session(bundle: Bundle, name: str) -> None:
    images = [sample_images(1 + seed % 2, seed=seed) for seed in range(8)]
    with open_way(bundle, name, "fp32") as session:
        wanted = [session.run(image)["logits"] for image in images]
        wrong: list[int] = []

        def work(index: int) -> None:
            answers = (session.run(images[index])["logits"] for _ in range(12))
            wrong.extend(index for answer in answers if not np.allclose(answer, wanted[index], atol=1e-5))

        threads = [threading.Thread(target=work, args=(index,)) for index in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert not wrong


@pytest.mark.parametrize("name", ["onnxruntime", "openvino"])
def test_results_are_the_callers_own(bundle: Bundle, name: str) -> None:
    """A later run must not change what an earlier one gave."""
    with open_way(bundle, name, "fp32") as session:
        first = session.run(sample_images(1, seed=1))
        kept = {key: values.copy() for key, values in first.items()}
        session.run(sample_images(1, seed=2))
        assert all(np.array_equal(first[key], kept[key]) for key in kept)
    assert all(np.array_equal(first[key], kept[key]) for key in kept)


def test_images_of_any_memory_layout(bundle: Bundle) -> None:
    image = sample_images(2)
    odd = np.asfortranarray(image)
    with open_way(bundle, "openvino", "fp32") as session:
        assert np.array_equal(session.run(image)["logits"], session.run(odd)["logits"])
        assert np.array_equal(session.run(image)["logits"][1:], session.run(image[::-1])["logits"][:1])


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((1, 1, 256, 256), np.float64),
        np.zeros((1, 1, 255, 256), np.float32),
        np.zeros((1, 3, 256, 256), np.float32),
        np.zeros((256, 256), np.float32),
        np.zeros((0, 1, 256, 256), np.float32),
    ],
    ids=["float64", "side", "colour", "rank", "empty"],
)
def test_wrong_images(bundle: Bundle, image: np.ndarray) -> None:
    with open_way(bundle, "onnxruntime", "fp32") as session, pytest.raises(UsageError) as caught:
        session.run(image)
    assert caught.value.code is Code.BAD_ARGUMENT


@pytest.mark.parametrize("name", ["onnxruntime", "openvino"])
def test_folders_with_spaces_and_other_letters(tiny_path: Path, tmp_path: Path, name: str) -> None:
    from cxredge.bundle import open_bundle

    folder = tmp_path / "R\u00f6ntgen \u80ba (1)"
    folder.mkdir()
    copy = folder / "st\u00fcck.cxr"
    copy.write_bytes(tiny_path.read_bytes())
    with open_bundle(copy) as bundle:
        for _ in range(2):  # cold, then from the cache
            with open_session(bundle.graph("fp32"), EngineRequest(name), cache_dir=folder / "cache \u00e4") as session:
                assert session.run(sample_images(1))["logits"].shape == (1, 14)
    assert len(list((folder / "cache \u00e4").glob("*.json"))) == 1


def test_a_closed_session(bundle: Bundle) -> None:
    session = open_way(bundle, "onnxruntime", "fp32")
    session.close()
    session.close()
    with pytest.raises(EngineError):
        session.run(sample_images(1))
    assert session.info.engine == "onnxruntime"


def refused(bundle: Bundle, request: EngineRequest, graph: str = "fp32") -> CxredgeError:
    with pytest.raises(CxredgeError) as caught:
        open_session(bundle.graph(graph), request)
    return caught.value


def test_what_cannot_be_is_refused(bundle: Bundle) -> None:
    for request, code in (
        (EngineRequest("tvm"), Code.ENGINE_UNKNOWN),
        (EngineRequest("onnxruntime", "tpu"), Code.DEVICE_MISSING),
        (EngineRequest("openvino", "gpu.9"), Code.DEVICE_MISSING),
        (EngineRequest("onnxruntime", "cpu", "bf16"), Code.PRECISION_UNSUPPORTED),
        (EngineRequest("onnxruntime", "cpu", "int8"), Code.PRECISION_UNSUPPORTED),  # of the fp32 graph
        (EngineRequest("onnxruntime", "cpu", "fp8"), Code.PRECISION_UNSUPPORTED),
        (EngineRequest("onnxruntime", "cpu", "fp32", 0), Code.BAD_ARGUMENT),
    ):
        assert refused(bundle, request).code is code, request


def test_an_engine_that_the_bundle_does_not_allow(tmp_path: Path) -> None:
    from cxredge.bundle import open_bundle, write_bundle
    from tests.support.tiny_bundle import tiny_files, tiny_manifest

    tree = tiny_manifest(int8=False)
    tree["graphs"]["fp32"]["engines"] = ["openvino"]
    with open_bundle(write_bundle(tmp_path / "x.cxr", tree, tiny_files(int8=False))) as bundle:
        error = refused(bundle, EngineRequest("onnxruntime"))
    assert error.code is Code.PRECISION_UNSUPPORTED and "openvino" in error.detail


def test_an_engine_that_is_off_is_refused(tmp_path: Path) -> None:
    """The golden output is compared for real: a bundle sealed with another answer is refused by every engine."""
    from cxredge.bundle import open_bundle, write_bundle
    from tests.support.tiny_bundle import npy_bytes, tiny_files, tiny_manifest

    files = tiny_files(int8=False)
    files["golden_logits.npy"] = npy_bytes(np.zeros((2, 14), np.float32))
    with open_bundle(write_bundle(tmp_path / "x.cxr", tiny_manifest(int8=False), files)) as bundle:
        graph = bundle.graph("fp32")
        for name in ("onnxruntime", "openvino"):
            with pytest.raises(BundleError) as caught:
                open_session(graph, EngineRequest(name), cache_dir=tmp_path / "cache")
            assert caught.value.code is Code.BUNDLE_GOLDEN


class Broken:
    """A raw session that fails as its name says."""

    info = EngineInfo("broken", "1", "cpu", "fp32", None)

    def __init__(self, how: str) -> None:
        self.how = how
        self.closed = False
        self.running = threading.Event()

    def run(self, image: np.ndarray) -> Outputs:
        good = {"logits": np.zeros((len(image), 14), np.float32)}
        if self.how == "raises":
            raise RuntimeError("first line\nsecond line with /a/path")
        if self.how == "slow":
            self.running.set()
            time.sleep(0.3)
            assert not self.closed, "closed under a running call"
        if self.how == "inf":
            good["logits"][0, 0] = np.inf
        if self.how == "other batch":
            good["logits"] = np.zeros((len(image) + 1, 14), np.float32)
        return good

    def close(self) -> None:
        self.closed = True


JOB = Job("cpu", "fp32", None, (4, 4), {"logits": (14,)})
IMAGE = np.zeros((1, 1, 4, 4), np.float32)


@pytest.mark.parametrize(
    ("how", "code"),
    [("raises", Code.ENGINE_FAILED), ("inf", Code.ENGINE_OUTPUT), ("other batch", Code.ENGINE_OUTPUT)],
)
def test_a_failing_run(how: str, code: Code) -> None:
    with pytest.raises(EngineError) as caught:
        CheckedSession(Broken(how), JOB).run(IMAGE)
    assert caught.value.code is code and "second line" not in caught.value.detail


def test_closing_waits_for_running_calls() -> None:
    raw = Broken("slow")
    session = CheckedSession(raw, JOB)
    errors: list[BaseException] = []

    def work() -> None:
        try:
            session.run(IMAGE)
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    raw.running.wait(5)
    session.close()
    thread.join()
    assert raw.closed and not errors


def test_threads_over_the_cores_are_capped_and_told(bundle: Bundle) -> None:
    with open_way(bundle, "openvino", "fp32", threads=usable_cores() + 3) as session:
        assert session.info.threads is not None and session.info.threads <= usable_cores() + 3


def test_onnxruntime_writes_no_report_to_its_maker(tiny_bundle: Path, scan: Path, tmp_path: Path) -> None:
    """Since 1.31 it keeps events and an identity of the device in the user's home, and sends them to its maker."""
    home = tmp_path / "home"
    home.mkdir()
    command = [sys.executable, "-P", "-m", "cxredge", "predict", str(scan), "--bundle", str(tiny_bundle)]
    command += ["--engine", "onnxruntime", "--precision", "fp32", "--format", "json"]
    unset = {name: value for name, value in os.environ.items() if name != "ORT_DISABLE_TELEMETRY"}
    variables = unset | {"HOME": str(home), "USERPROFILE": str(home), "XDG_CACHE_HOME": str(home / "cache")}
    subprocess.run(command, check=True, capture_output=True, env=variables)
    assert list(home.rglob("*")) == []


def test_openvino_loads_no_telemetry() -> None:
    if not catalog.engine("openvino").availability().ok:
        pytest.skip("openvino is not installed")
    code = (
        "import sys; from cxredge.engines import openvino as e; e.devices(); "
        "assert 'openvino' in sys.modules; print([m for m in sys.modules if m.startswith('openvino_telemetry')])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


@pytest.mark.parametrize("name", ["onnxruntime", "openvino"])
def test_a_bound_run_works_on_that_very_batch(name: str, bundle: Bundle, cache: Path) -> None:
    """It is refused like `run`, and the session gives the same answers before and after."""
    with open_session(bundle.graph("fp32"), EngineRequest(name, "cpu", "fp32", 1)) as session:
        image = np.repeat(bundle.golden().input, 2, axis=0)
        image.flags.writeable = False  # as arrays that were read from a file are
        before = session.run(image)
        once = session.bound(image)
        for _ in range(3):
            once()
        after = session.run(image)
        for output, values in before.items():
            np.testing.assert_array_equal(values, after[output])
        with pytest.raises(UsageError):
            session.bound(image[:, :, :-1])
    with pytest.raises(EngineError):
        session.bound(image)
