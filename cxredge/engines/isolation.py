"""The parent's side of `cxredge.engines.child`: start it, watch the clock, and say how it ended."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from cxredge.errors import Code, EngineError, UsageError

__all__ = ["LIMIT_VARIABLE", "LOG_NAME", "child_process", "compile_limit", "end_tree", "run_child", "start_child"]

LIMIT_VARIABLE = "CXREDGE_COMPILE_SECONDS"
PYTHON_VARIABLE = "CXREDGE_PYTHON"
LOG_NAME = "child.log"
_DEFAULT_LIMIT = 300.0


def compile_limit() -> float:
    """Seconds that compiling may take: CXREDGE_COMPILE_SECONDS, else 300.

    Raises:
        UsageError: BAD_ARGUMENT when the variable is no positive number.
    """
    text = os.environ.get(LIMIT_VARIABLE, "")
    try:
        seconds = float(text) if text else _DEFAULT_LIMIT
    except ValueError:
        seconds = math.nan
    if not 0 < seconds < math.inf:
        raise UsageError(Code.BAD_ARGUMENT, f"{LIMIT_VARIABLE} is {text!r}, not a number of seconds")
    return seconds


def run_child(
    order: dict[str, Any],
    folder: Path,
    engine: str,
    limit_seconds: float,
    module: str = "cxredge.engines.child",
    **variables: str,
) -> dict[str, Any]:
    """Carry out an order in a child process; gives its report.

    Args:
        order: see `cxredge.engines.child`; `folder` and `report` are filled in here.
        folder: where order, report and log go.
        engine: its name, for messages.
        limit_seconds: after so long the child and all its own children are ended.
        module: what runs there; it must write its report as `cxredge.engines.child.answer` does.
        variables: join the child's environment.

    Raises:
        EngineError: ENGINE_CRASHED, ENGINE_TIMEOUT, or whatever the child reports.
    """
    report_file, order_file = folder / "report.json", folder / "order.json"
    report_file.unlink(missing_ok=True)
    order_file.write_text(json.dumps({**order, "folder": str(folder), "report": str(report_file)}), encoding="utf-8")
    with (folder / LOG_NAME).open("ab") as log:
        code = _wait(start_child(module, order_file, log, **variables), limit_seconds)
    if code is None:
        raise EngineError(Code.ENGINE_TIMEOUT, f"{engine}: {limit_seconds:g} seconds were not enough")
    report = _read(report_file)
    if code != 0 or report is None:
        raise EngineError(Code.ENGINE_CRASHED, f"{engine}: {_ending(code)}")
    if not report.get("ok"):
        raise EngineError(Code(report["code"]), f"{report['detail']}")
    return report


def start_child(module: str, order_file: Path, log: Any, **variables: str) -> subprocess.Popen[bytes]:
    """Start a module of ours on an order, apart from this process's terminal; `variables` join the environment."""
    command, options = child_process(module, str(order_file), **variables)
    try:
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, **options)  # noqa: S603
    except OSError as error:
        raise EngineError(Code.ENGINE_FAILED, f"{command[0]} cannot be started: {error.strerror}") from None


def child_process(module: str, *arguments: str, **variables: str) -> tuple[list[str], dict[str, Any]]:
    """The command and the options with which `subprocess.Popen` runs a module of ours, as the head of its own group."""
    python = os.environ.get(PYTHON_VARIABLE) or sys.executable
    if not python:
        raise EngineError(Code.ENGINE_FAILED, f"there is no Python to run a child process with; set {PYTHON_VARIABLE}")
    # The child must find what this process finds, and must not look in the current folder (-P).
    home = str(Path(__file__).resolve().parents[2])
    environment = {**os.environ, **variables, "PYTHONPATH": os.pathsep.join([*filter(None, sys.path), home])}
    options: dict[str, Any] = {"env": environment, "start_new_session": True}
    if sys.platform == "win32":
        flags = subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW
        options = {"env": environment, "creationflags": flags}
    return [python, "-P", "-X", "faulthandler", "-m", module, *arguments], options


def _wait(process: subprocess.Popen[bytes], limit_seconds: float) -> int | None:
    """The exit code, or None when the time was up; nothing of the child is left in either case."""
    try:
        return process.wait(timeout=limit_seconds)
    except subprocess.TimeoutExpired:
        return None
    finally:
        if process.poll() is None:
            end_tree(process)


def end_tree(process: subprocess.Popen[bytes]) -> None:
    """End a child and all that it has started."""
    if sys.platform == "win32":
        taskkill = Path(os.environ.get("SYSTEMROOT", r"C:\Windows")) / "System32" / "taskkill.exe"
        subprocess.run([str(taskkill), "/T", "/F", "/PID", str(process.pid)], check=False, capture_output=True)  # noqa: S603
    else:
        with suppress(ProcessLookupError):  # the child leads its own group
            os.killpg(process.pid, signal.SIGKILL)
    process.kill()
    process.wait()


def _read(report_file: Path) -> dict[str, Any] | None:
    try:
        report = json.loads(report_file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return report if isinstance(report, dict) else None


def _ending(code: int) -> str:
    if code < 0:
        with suppress(ValueError):
            return f"the process was ended by {signal.Signals(-code).name}"
    return f"the process ended with code {code & 0xFFFFFFFF:#x}" if code > 255 or code < 0 else f"exit code {code}"
