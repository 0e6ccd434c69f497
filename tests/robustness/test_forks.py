"""What crosses a fork: no engine, no lock that another thread held, and nothing of the parent's that would be freed."""

from __future__ import annotations

import gc
import json
import multiprocessing
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import cxredge
from cxredge.engines import catalog, forks
from cxredge.errors import Code, EngineError
from tests.robustness.test_faults import environment
from tests.robustness.test_processes import answer, findings

FORKS = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")


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


def a_model_of_its_own(bundle: Path, engine: str, scan: Path) -> str:
    """Findings of a model that is loaded here."""
    with cxredge.load(bundle, engine=engine, device="cpu", precision="fp32") as loaded:
        return json.dumps([loaded.ran.engine, findings(loaded, scan)])


@FORKS
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_child_loads_its_own(model: cxredge.Model, tiny_bundle: Path, scan: Path) -> None:
    """On the first engine that survives a fork, also where it came while other threads were predicting."""
    with cxredge.load(tiny_bundle, engine="onnxruntime", precision="fp32") as surviving:
        wanted = findings(surviving, scan)
    end = threading.Event()

    def busy() -> None:
        while not end.is_set():
            model.predict(scan)

    threads = [threading.Thread(target=busy) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        told = in_a_fork(lambda: a_model_of_its_own(tiny_bundle, SURVIVES[model.ran.engine], scan))
    finally:
        end.set()
        for thread in threads:
            thread.join()
    assert json.loads(told) == ["onnxruntime", wanted]


SURVIVES = {"onnxruntime": "onnxruntime", "openvino": "auto"}
"""What a child asks for after its parent had this engine at work."""


@FORKS
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_an_engine_with_threads_of_the_process_is_lost_to_a_child(tiny_bundle: Path, scan: Path) -> None:
    """OpenVINO keeps the threads of a closed graph for the next one: a child waited for them for ever."""
    if not catalog.engine("openvino").availability().ok:
        pytest.skip("openvino is not installed")
    opened = [cxredge.load(tiny_bundle, engine="openvino", precision="fp32") for _ in range(2)]
    for one in opened:
        one.predict(scan)
        one.close()

    def ask() -> str:
        state = catalog.availability()
        assert state["onnxruntime"].ok, state
        assert not state["openvino"].ok and "forked" in state["openvino"].reason, state
        return a_model_of_its_own(tiny_bundle, "openvino", scan)

    assert in_a_fork(ask) == "engine_forked"
    assert in_a_fork(lambda: in_a_fork(ask)) == "engine_forked", "a child's child"
    assert json.loads(a_model_of_its_own(tiny_bundle, "openvino", scan))[0] == "openvino", "the parent's is as it was"


@FORKS
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_an_engine_that_was_not_at_work_is_not_lost(tiny_bundle: Path, scan: Path) -> None:
    """Server programs import, fork, and load in the child: they have every engine."""
    if not catalog.engine("openvino").availability().ok:
        pytest.skip("openvino is not installed")
    command = [sys.executable, "-P", "-W", "ignore", "-c", PREFORK, str(tiny_bundle), str(scan)]
    done = subprocess.run(command, capture_output=True, env=environment(), timeout=120)
    assert done.returncode == 0, done.stderr.decode()


PREFORK = """
import os, sys
import cxredge, cxredge.pipeline, openvino
from cxredge.engines import catalog
assert catalog.availability()["openvino"].ok
child = os.fork()
if child == 0:
    with cxredge.load(sys.argv[1], engine="openvino", precision="fp32") as model:
        model.predict(sys.argv[2])
        os._exit(0 if model.ran.engine == "openvino" else 1)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


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
if sys.argv[4] == "closed":
    model.close()
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
@pytest.mark.parametrize("state", ["open", "closed"])
@pytest.mark.parametrize("engine", ["onnxruntime", "openvino"])
def test_a_child_ends_in_the_ordinary_way(tiny_bundle: Path, scan: Path, engine: str, state: str) -> None:
    """Freeing an engine in a child can wait for threads that only the parent has; so it is not freed there.

    Nor is what a library kept of one that was closed.
    """
    if not catalog.engine(engine).availability().ok:
        pytest.skip(f"{engine} is not installed")
    command = [sys.executable, "-P", "-W", "ignore", "-c", ENDING, str(tiny_bundle), engine, str(scan), state]
    variables = environment(ORT_DISABLE_TELEMETRY="1")  # its reporting thread is one that the child would wait for
    done = subprocess.run(command, capture_output=True, env=variables, timeout=120)
    assert done.returncode == 7, done.stderr.decode()
