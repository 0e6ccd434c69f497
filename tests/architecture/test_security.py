"""What SECURITY.md promises: no pickle, no eval, no shell, no network; read off the code, and watched."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "cxredge"
MODULES = sorted(PACKAGE.rglob("*.py"))

UNPICKLE = {"pickle", "_pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal", "torch"}
NETWORK = {
    *("socket", "ssl", "http", "urllib", "requests", "httpx", "aiohttp", "ftplib", "smtplib", "imaplib", "poplib"),
    *("xmlrpc", "socketserver", "asyncio", "telnetlib", "webbrowser"),
}
RUN_TEXT = {"eval", "exec", "compile", "__import__"}
SHELL = {("os", "system"), ("os", "popen"), ("subprocess", "getoutput"), ("subprocess", "getstatusoutput")}
STARTS_PROCESSES = {
    "engines/isolation.py",  # an engine's compiler, in a child of our own
    "benchmark/machine.py",  # asks the machine what it is
    "node/process.py",  # its workers
}
CALLS_THE_SYSTEM = {  # by ctypes
    "benchmark/energy.py",
    "benchmark/memory.py",
    "engines/cuda.py",
    "engines/forks.py",  # no call of the system: it tells Python itself never to free an engine in a forked child
    "engines/lifeline.py",  # a child process ends with its parent
}


def _nodes(path: Path) -> Iterator[ast.AST]:
    return ast.walk(ast.parse(path.read_text(encoding="utf-8")))


def _imported(path: Path) -> set[str]:
    """The top names of everything imported, within functions too."""
    found = set()
    for node in _nodes(path):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            found.add((node.module or "").split(".")[0])
    return found


def _faults(path: Path) -> Iterator[str]:
    """Calls that run text or a shell, or let NumPy unpickle."""
    for node in _nodes(path):
        if not isinstance(node, ast.Call):
            continue
        called, line = node.func, f"{path.name}:{node.lineno}"
        given = {word.arg: word.value for word in node.keywords}
        if isinstance(called, ast.Name) and called.id in RUN_TEXT:
            yield f"{line}: {called.id}"
        if isinstance(called, ast.Attribute) and isinstance(called.value, ast.Name):
            if (called.value.id, called.attr) in SHELL or (called.value.id == "os" and called.attr.startswith("exec")):
                yield f"{line}: {called.value.id}.{called.attr}"
            if (called.value.id, called.attr) == ("np", "load") and not _is(given.get("allow_pickle"), False):
                yield f"{line}: np.load that may unpickle"
        if "shell" in given and not _is(given["shell"], False):
            yield f"{line}: a shell"


def _is(node: ast.expr | None, value: object) -> bool:
    return isinstance(node, ast.Constant) and node.value is value


def test_there_is_something_to_read() -> None:
    assert len(MODULES) > 60


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_no_pickle_no_network_no_shell_no_eval(path: Path) -> None:
    name, imported = path.relative_to(PACKAGE).as_posix(), _imported(path)
    assert not imported & UNPICKLE
    assert not imported & NETWORK or name.startswith("node/")  # the node is what the network is for
    assert "subprocess" not in imported or name in STARTS_PROCESSES
    assert "ctypes" not in imported or name in CALLS_THE_SYSTEM
    assert list(_faults(path)) == []


@pytest.mark.parametrize(
    "text",
    ["eval('1')", "import os; os.system('ls')", "np.load(f)", "np.load(f, allow_pickle=True)", "run(c, shell=True)"],
)
def test_the_reader_of_faults_sees_them(text: str, tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text(text, encoding="utf-8")
    assert list(_faults(tmp_path / "a.py"))


# Python tells an audit hook of every connection, name look-up, shell and unpickling, also those of libraries.
WATCH = """
import os, sys
FORBIDDEN = {"socket.connect", "socket.bind", "socket.sendto", "socket.getaddrinfo", "socket.gethostbyname",
             "pickle.find_class", "os.system", "os.exec", "os.posix_spawn", "urllib.Request", "subprocess.Popen"}
def watch(event, arguments):
    if event in FORBIDDEN:
        os.write(2, f"FORBIDDEN {event}".encode())
        os._exit(99)
sys.addaudithook(watch)
from cxredge.cli import main
main(sys.argv[1:])
"""


def test_a_prediction_connects_to_nothing_and_starts_nothing(tiny_bundle: Path, scan: Path, tmp_path: Path) -> None:
    """Reading, predicting, pictures and the report, with libraries and all, under the watch of an audit hook."""
    asked = ["predict", scan, "--bundle", tiny_bundle, "--engine", "onnxruntime", "--precision", "fp32"]
    asked += ["--format", "json", "--output", tmp_path, "--overlay", "--masks", "--report", tmp_path / "r.html"]
    # The first start compiles the graph in a child process of its own; what is kept is then only read.
    subprocess.run([sys.executable, "-P", "-m", "cxredge", *map(str, asked)], check=True, capture_output=True)
    done = subprocess.run(
        [sys.executable, "-P", "-c", WATCH, *map(str, asked)], capture_output=True, env=dict(os.environ), timeout=120
    )
    assert done.returncode == 0, done.stderr.decode()
    assert json.loads(done.stdout)["status"] == "ok"


def test_onnxruntime_is_loaded_in_one_place_which_switches_its_reports_off() -> None:
    folders = [ROOT / name for name in ("training", "export", "calibration", "benchmarks")]  # absent beside a wheel
    paths = [*MODULES, *(path for folder in folders for path in sorted(folder.rglob("*.py")))]
    loads = [path.relative_to(ROOT).as_posix() for path in paths if "onnxruntime" in _imported(path)]
    assert loads == ["cxredge/engines/onnxruntime.py"]
