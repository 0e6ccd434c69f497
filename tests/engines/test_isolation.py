"""What a vendor's compiler can do to its process, and what the caller gets of it."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import pytest

from cxredge.bundle import Bundle
from cxredge.engines.base import EngineRequest
from cxredge.engines.isolation import compile_limit
from cxredge.engines.opening import open_session
from cxredge.errors import Code, CxredgeError, EngineError, UsageError


def failure(bundle: Bundle, device: str, limit: float = 60.0) -> CxredgeError:
    with pytest.raises(CxredgeError) as caught:
        open_session(bundle.graph("fp32"), EngineRequest("rogue", device), limit_seconds=limit)
    return caught.value


@pytest.mark.parametrize("device", ["segfault", "segfault-first-run", "abort", "exit"])
def test_a_crash_is_a_typed_error(bundle: Bundle, rogue: Path, device: str) -> None:
    error = failure(bundle, device)
    assert isinstance(error, EngineError) and error.code is Code.ENGINE_CRASHED
    if device.startswith("segfault") and sys.platform != "win32":
        assert "SIGSEGV" in error.detail


def test_a_crash_leaves_its_log_and_no_entry(bundle: Bundle, rogue: Path, cache: Path) -> None:
    error = failure(bundle, "segfault")
    logs = list(cache.glob("*.log"))
    assert len(logs) == 1 and str(logs[0]) in error.detail
    assert "Segmentation fault" in logs[0].read_text(encoding="utf-8")
    assert sorted(path.suffix for path in cache.iterdir()) == [".log"]


@pytest.mark.parametrize(
    ("device", "code"),
    [
        ("raise", Code.ENGINE_FAILED),
        ("typed", Code.PRECISION_UNSUPPORTED),
        ("no-artefact", Code.ENGINE_FAILED),
        ("hoard", Code.OUT_OF_MEMORY),
        ("wrong-shape", Code.ENGINE_OUTPUT),
        ("wrong-type", Code.ENGINE_OUTPUT),
        ("missing-output", Code.ENGINE_OUTPUT),
        ("nan", Code.ENGINE_OUTPUT),
        ("wrong-answer", Code.BUNDLE_GOLDEN),
    ],
)
def test_other_failures(bundle: Bundle, rogue: Path, cache: Path, device: str, code: Code) -> None:
    assert failure(bundle, device).code is code
    assert not list(cache.glob("*.json")), "a bad artefact was kept"


def test_a_hang_ends_at_the_limit(bundle: Bundle, rogue: Path) -> None:
    began = time.monotonic()
    assert failure(bundle, "hang", limit=3.0).code is Code.ENGINE_TIMEOUT
    assert time.monotonic() - began < 20


def test_a_hang_takes_its_children_along(
    bundle: Bundle, rogue: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if sys.platform == "win32":
        pytest.skip("asks the system for a process the POSIX way")
    monkeypatch.setenv("ROGUE_PID", str(tmp_path / "pid"))
    assert failure(bundle, "hang-with-child", limit=4.0).code is Code.ENGINE_TIMEOUT
    pid = int((tmp_path / "pid").read_text(encoding="utf-8"))
    end = time.monotonic() + 10
    while time.monotonic() < end and alive(pid):
        time.sleep(0.05)
    assert not alive(pid)


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    stat = Path(f"/proc/{pid}/stat")
    # Killed but not yet collected by whoever inherited it.
    return not (stat.exists() and stat.read_text(encoding="ascii").rpartition(")")[2].split()[0] == "Z")


def test_the_limit_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXREDGE_COMPILE_SECONDS", "12.5")
    assert compile_limit() == 12.5
    monkeypatch.delenv("CXREDGE_COMPILE_SECONDS")
    assert compile_limit() == 300
    for wrong in ("soon", "0", "-1", "nan", "inf"):
        monkeypatch.setenv("CXREDGE_COMPILE_SECONDS", wrong)
        with pytest.raises(UsageError):
            compile_limit()


def test_no_python_to_compile_with(bundle: Bundle, rogue: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program that embeds cxredge may have no interpreter at `sys.executable`."""
    monkeypatch.setattr(sys, "executable", "")
    error = failure(bundle, "good")
    assert error.code is Code.ENGINE_FAILED and "CXREDGE_PYTHON" in error.detail
    monkeypatch.setenv("CXREDGE_PYTHON", "/nowhere/python")
    assert failure(bundle, "good").code is Code.ENGINE_FAILED


def test_the_current_folder_is_not_imported_from(
    bundle: Bundle, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file beside the scan must not become code: the child never looks in the working folder."""
    trap = tmp_path / "scans"
    trap.mkdir()
    for name in ("onnxruntime.py", "numpy.py", "json.py"):
        (trap / name).write_text("raise SystemExit('trapped')", encoding="utf-8")
    monkeypatch.chdir(trap)
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry])
    with open_session(bundle.graph("fp32"), EngineRequest("onnxruntime")) as session:
        assert session.info.engine == "onnxruntime"
