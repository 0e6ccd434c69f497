"""One model, many threads; a fork; another language, number format and time zone; a bundle that changes on the disk."""

from __future__ import annotations

import gc
import hashlib
import json
import multiprocessing
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import cxredge
from cxredge.engines import catalog, forks
from cxredge.errors import Code, CxredgeError, EngineError
from tests.robustness.test_faults import COMMAND, environment, model_of
from tests.support.bad_inputs.film import good
from tests.support.filed import filed_bytes
from tests.support.phantom import draw_phantom

SOAK_SECONDS = float(os.environ.get("CXREDGE_SOAK_SECONDS", "4"))
"""How long threads share a model; CONTRIBUTING.md names the long run."""
THREADS = 8
FORKS = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")


@pytest.fixture(scope="module", params=["onnxruntime", "openvino"])
def model(request: pytest.FixtureRequest, tiny_bundle: Path) -> Iterator[cxredge.Model]:
    if not catalog.engine(request.param).availability().ok:
        pytest.skip(f"{request.param} is not installed")
    with cxredge.load(tiny_bundle, engine=request.param, precision="fp32") as loaded:
        yield loaded


def essence(prediction: cxredge.Prediction) -> Any:
    """All of an answer that must be the same each time, pictures too."""
    record = json.loads(prediction.to_json())
    record.pop("timing_ms")
    if prediction.status != "ok":
        return record
    return record, prediction.masks["heart"].tobytes(), prediction.heatmap("Effusion").tobytes()


def findings(model: cxredge.Model, source: Any) -> Any:
    return json.loads(model.predict(source).to_json())["findings"]


def answer(model: cxredge.Model, source: Any) -> Any:
    try:
        return essence(model.predict(source))
    except CxredgeError as error:
        return error.code


def sources(scan: Path) -> list[Any]:
    """Good and bad: a path, bytes, pixels, an abstention and two errors."""
    pixels = (draw_phantom(300, 280, seed=3) / 4095).astype(np.float32)
    return [scan, good(), pixels, np.zeros((300, 300), np.uint8), good()[:3000], b"no image"]


def at_once(work: Callable[[int], None]) -> None:
    """Eight threads do it; what one raises is raised here."""
    failures: list[BaseException] = []

    def guarded(index: int) -> None:
        try:
            work(index)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=guarded, args=(index,)) for index in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]


def test_eight_threads_on_one_model(model: cxredge.Model, scan: Path) -> None:
    """Each answer, error and picture is what one thread gets, for as long as it is let run."""
    inputs = sources(scan)
    wanted = [answer(model, source) for source in inputs]
    assert sum(isinstance(one, Code) for one in wanted) == 2
    end, done = time.monotonic() + SOAK_SECONDS, [0] * THREADS

    def work(index: int) -> None:
        while time.monotonic() < end or done[index] < len(inputs):
            which = (index + done[index]) % len(inputs)
            assert answer(model, inputs[which]) == wanted[which], inputs[which]
            done[index] += 1

    at_once(work)
    assert min(done) >= len(inputs)


def test_eight_threads_with_many_inputs_each(model: cxredge.Model, scan: Path) -> None:
    """`predict_many` from several threads at once: nobody gets another's answers, and the order is kept."""
    inputs = [source for source in sources(scan) if not isinstance(source, Path)] * 4
    codes = [(p.status, p.reason and p.reason.code) for p in model.predict_many(inputs)]

    def work(index: int) -> None:
        told = [(p.status, p.reason and p.reason.code) for p in model.predict_many(inputs[index:])]
        assert told == codes[index:]

    at_once(work)


def in_a_fork(work: Callable[[], str], seconds: float = 60.0) -> str:
    """What it returns in a forked child, or how it failed. The child ends at once, as those of multiprocessing do."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            told = work()
        except BaseException as error:
            told = getattr(error, "code", None) or repr(error)
        os.write(writing, told.encode())
        os._exit(0)
    os.close(writing)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if os.waitpid(child, os.WNOHANG)[0]:
            break
        time.sleep(0.02)
    else:
        os.kill(child, 9)
        os.waitpid(child, 0)
        pytest.fail("the child hangs")
    with os.fdopen(reading, "rb") as pipe:
        return pipe.read().decode()


@FORKS
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_model_does_not_cross_a_fork(model: cxredge.Model, scan: Path) -> None:
    """It says so, at once, whatever is asked of it; the parent's goes on."""
    wanted = answer(model, scan)
    image = model.golden_input()

    def close() -> str:
        model.close()
        return "closed"

    asked: list[tuple[Callable[[], Any], str]] = [
        (lambda: model.predict(scan).status, "engine_forked"),
        (lambda: model.predict_many([scan] * 20), "engine_forked"),
        (lambda: str(model.session.run(image)), "engine_forked"),
        (close, "closed"),
    ]
    for work, told in asked:
        assert in_a_fork(work) == told
    assert answer(model, scan) == wanted


@FORKS
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_child_loads_its_own(model: cxredge.Model, tiny_bundle: Path, scan: Path) -> None:
    """Also where the fork came while other threads were predicting."""
    wanted = findings(model, scan)
    engine, end = model.ran.engine, threading.Event()

    def busy() -> None:
        while not end.is_set():
            model.predict(scan)

    def own() -> str:
        with cxredge.load(tiny_bundle, engine=engine, precision="fp32") as loaded:
            return json.dumps(findings(loaded, scan))

    threads = [threading.Thread(target=busy) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        told = in_a_fork(own)
    finally:
        end.set()
        for thread in threads:
            thread.join()
    assert json.loads(told) == wanted


def a_run(started: threading.Event, going_on: threading.Event, done: list[float]) -> threading.Thread:
    """A run of an engine that lasts until it is told to end."""

    def run() -> None:
        with forks.running():
            started.set()
            going_on.wait(10)
            done.append(time.monotonic())

    thread = threading.Thread(target=run)
    thread.start()
    assert started.wait(10)
    return thread


@FORKS
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_fork_waits_for_a_run_and_the_next_run_for_the_fork() -> None:
    """The locks that a vendor's library holds in a run would be locked in the child for ever."""
    going_on, done = threading.Event(), []
    thread = a_run(threading.Event(), going_on, done)
    threading.Timer(0.3, going_on.set).start()

    def child() -> str:
        with forks.running():  # the parent's run is none of the child's
            return "ran"

    assert in_a_fork(child) == "ran"
    assert done, "the process was forked in the middle of a run"
    thread.join()
    with forks.running():
        pass


@FORKS
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_run_that_hangs_does_not_hold_up_a_fork(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forks, "PATIENCE", 0.2)
    going_on, done = threading.Event(), []
    thread = a_run(threading.Event(), going_on, done)
    try:
        assert in_a_fork(lambda: "ended", seconds=20) == "ended"
        assert not done
    finally:
        going_on.set()
        thread.join()


@FORKS
@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="needs /proc")
def test_a_fork_does_not_wait_for_the_hosts_own_threads() -> None:
    """One that computes all the time is in no engine: a busy host's forks came before a vendor's threads slept."""
    end, asleep, block = threading.Event(), forks._asleep, bytes(1 << 24)

    def compute() -> None:
        while not end.is_set():
            hashlib.sha256(block)  # outside of the interpreter's lock

    thread = threading.Thread(target=compute)
    thread.start()
    try:
        until = time.monotonic() + 30
        while asleep() is None:
            assert time.monotonic() < until, "a thread of the host passes for one of an engine"
            time.sleep(0.002)
    finally:
        end.set()
        thread.join()


class Thrown:
    """Part of a cycle, so that only the collector frees it: as an engine may be that somebody dropped."""

    freed = False

    def __init__(self) -> None:
        self.own = self

    def __del__(self) -> None:
        Thrown.freed = True


@FORKS
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_child_does_not_free_what_its_parent_threw_away(model: cxredge.Model) -> None:
    """To free an engine there can wait for ever, and the collector comes whenever it likes."""
    Thrown.freed = False
    gc.disable()
    try:
        Thrown()
        assert in_a_fork(lambda: f"{gc.collect() >= 0} {Thrown.freed}") == "True False"
        assert not Thrown.freed
    finally:
        gc.enable()
    gc.collect()
    assert Thrown.freed, "the parent frees it as before"


LOADED: dict[str, cxredge.Model] = {}
"""What the workers of a forked pool have from their parent."""


def in_a_worker(path: Path) -> str:
    return LOADED["model"].predict(path).status


@FORKS
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_pool_of_forked_workers_says_so(model: cxredge.Model, scan: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error crosses back to whoever asked the pool."""
    monkeypatch.setitem(LOADED, "model", model)
    with multiprocessing.get_context("fork").Pool(1) as pool, pytest.raises(EngineError) as caught:
        pool.apply_async(in_a_worker, (scan,)).get(timeout=60)
    assert caught.value.code is Code.ENGINE_FORKED


ENDING = """
import os, sys, time
import cxredge
model = cxredge.load(sys.argv[1], engine=sys.argv[2], precision="fp32")
model.predict(sys.argv[3])
child = os.fork()
if child == 0:
    del model
    sys.exit(7)  # not os._exit: all that runs at the end of a process does
end = time.monotonic() + 40
while time.monotonic() < end:
    done, status = os.waitpid(child, os.WNOHANG)
    if done:
        sys.exit(os.waitstatus_to_exitcode(status))
    time.sleep(0.02)
os.kill(child, 9)
sys.exit("the child does not end")
"""


@FORKS
@pytest.mark.parametrize("engine", ["onnxruntime", "openvino"])
def test_a_child_ends_in_the_ordinary_way(tiny_bundle: Path, scan: Path, engine: str) -> None:
    """Freeing an engine in a child can wait for threads that only the parent has; so it is not freed there."""
    if not catalog.engine(engine).availability().ok:
        pytest.skip(f"{engine} is not installed")
    command = [sys.executable, "-P", "-W", "ignore", "-c", ENDING, str(tiny_bundle), engine, str(scan)]
    variables = environment(ORT_DISABLE_TELEMETRY="1")  # its reporting thread is one that the child would wait for
    done = subprocess.run(command, capture_output=True, env=variables, timeout=120)
    assert done.returncode == 7, done.stderr.decode()


# -------- another language, number format and time zone --------

EMBEDDING = """
import json, locale, sys, time
wanted = sys.argv[1]
locale.setlocale(locale.LC_ALL, "")  # as a program with windows does: now C writes and reads numbers in this language
assert wanted == "C" or locale.localeconv()["decimal_point"] == ",", locale.localeconv()
time.tzset()
import cxredge
with cxredge.load(sys.argv[2], engine=sys.argv[3], precision="fp32") as model:
    prediction = model.predict(sys.argv[4])
    prediction.overlay()
    from cxredge.dicom_out import results_as_dicom
    made = results_as_dicom(prediction, sys.argv[4])
    record = json.loads(prediction.to_json())
    record["written"] = sorted(type(one).__name__ for one in made)
    print(json.dumps(record))
"""


@pytest.fixture(scope="module")
def locales(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Turkish (a comma in numbers, and an i of its own in upper case), made here, as few machines have it."""
    folder = tmp_path_factory.mktemp("locales")
    command = ["localedef", "-i", "tr_TR", "-f", "UTF-8", str(folder / "tr_TR.UTF-8")]
    try:
        subprocess.run(command, capture_output=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("needs localedef and the sources of locales (Debian: locales)")
    return folder


@pytest.mark.parametrize("engine", ["onnxruntime", "openvino"])
def test_another_language_and_time_zone(tiny_bundle: Path, tmp_path: Path, locales: Path, engine: str) -> None:
    """Compiling, reading, predicting and writing, each with an empty cache: the same answers to the last digit."""
    if not catalog.engine(engine).availability().ok:
        pytest.skip(f"{engine} is not installed")
    film = tmp_path / "film.dcm"
    film.write_bytes(filed_bytes())
    told = {}
    for name, zone in (("C", "UTC"), ("tr_TR.UTF-8", "Pacific/Kiritimati")):
        variables = environment(
            LC_ALL=name, LANG=name, TZ=zone, LOCPATH=str(locales), CXREDGE_CACHE=str(tmp_path / name)
        )
        command = [sys.executable, "-P", "-c", EMBEDDING, name, str(tiny_bundle), engine, str(film)]
        done = subprocess.run(command, capture_output=True, env=variables, timeout=120)
        assert done.returncode == 0, done.stderr.decode()
        told[name] = json.loads(done.stdout)
        assert told[name].pop("timing_ms")
    assert told["C"]["status"] == "ok"
    assert told["tr_TR.UTF-8"] == told["C"]


@pytest.mark.parametrize("name", ["tr_TR.UTF-8", "C", "POSIX"])
def test_the_command_in_another_language(
    tiny_bundle: Path, scan: Path, tmp_path: Path, locales: Path, name: str
) -> None:
    """Names that are not ASCII, too: in the C locale, Python's own file names are UTF-8."""
    film = tmp_path / "Gö\u011füs \u0130.dcm"
    shutil.copy(scan, film)
    variables = environment(LC_ALL=name, LOCPATH=str(locales), TZ="Asia/Kathmandu", PYTHONUTF8=None)
    command = [*COMMAND, "predict", str(film), *model_of(tiny_bundle), "--format", "json"]
    done = subprocess.run(command, capture_output=True, env=variables, timeout=120)
    assert done.returncode == 0, done.stderr.decode()
    record = json.loads(done.stdout)
    assert (record["status"], record["input"]["path"]) == ("ok", str(film))


# -------- a bundle that changes while it is loaded --------


def overwrite(path: Path) -> None:
    path.write_bytes(bytes(path.stat().st_size))


def cut(path: Path) -> None:
    os.truncate(path, 100)


def remove(path: Path) -> None:
    path.unlink()


def exchange(path: Path) -> None:
    other = path.with_suffix(".new")
    other.write_bytes(b"another bundle")
    other.replace(path)


@pytest.mark.parametrize("change", [overwrite, cut, remove, exchange], ids=lambda change: change.__name__)
@pytest.mark.parametrize("engine", ["onnxruntime", "openvino"])
def test_a_bundle_that_changes_while_it_is_loaded(
    tiny_bundle: Path, scan: Path, tmp_path: Path, engine: str, change: Callable[[Path], None]
) -> None:
    """The loaded model goes on as it was, for one image and many; what it reads anew is checked; loading refuses."""
    if not catalog.engine(engine).availability().ok:
        pytest.skip(f"{engine} is not installed")
    path = tmp_path / "bundle.cxr"
    shutil.copy(tiny_bundle, path)
    with cxredge.load(path, engine=engine, precision="fp32") as model:
        wanted = findings(model, scan)
        change(path)
        assert findings(model, scan) == wanted
        for prediction in model.predict_many([scan] * 17):  # enough for a second session, if it can still be opened
            assert prediction.status == "ok"
            np.testing.assert_allclose([f.probability for f in prediction.findings], [f["probability"] for f in wanted])
        if change in (overwrite, cut):
            with pytest.raises(cxredge.BundleError):
                model.golden_input()
    with pytest.raises(cxredge.BundleError):
        cxredge.load(path, engine=engine, precision="fp32")


@pytest.mark.parametrize("change", [overwrite, cut, remove], ids=lambda change: change.__name__)
def test_a_folder_whose_graph_changes_while_it_is_loaded(
    gated_bundle: Path, scan: Path, tmp_path: Path, change: Callable[[Path], None]
) -> None:
    folder = tmp_path / "bundle"
    shutil.copytree(gated_bundle, folder)
    with cxredge.load(folder, engine="onnxruntime", precision="fp32") as model:
        wanted = essence(model.predict(scan))
        change(folder / "fp32.onnx")
        assert essence(model.predict(scan)) == wanted
        assert [p.status for p in model.predict_many([scan] * 17)] == [model.predict(scan).status] * 17
    with pytest.raises(cxredge.BundleError):
        cxredge.load(folder, engine="onnxruntime", precision="fp32")
