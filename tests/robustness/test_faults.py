"""Faults around a prediction: stopped, homeless, without room, a source that fails while it is read."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import cxredge
from cxredge.errors import Code, InputError
from tests.support.bad_inputs.film import good

COMMAND = (sys.executable, "-P", "-m", "cxredge")
POSIX = pytest.mark.skipif(os.name == "nt", reason="needs signals and limits of POSIX")


def model_of(bundle: Path) -> list[str]:
    return ["--bundle", str(bundle), "--engine", "onnxruntime", "--precision", "fp32"]


def environment(**changes: str | None) -> dict[str, str]:
    """This one with changes; None removes a variable."""
    merged: dict[str, str | None] = {**os.environ, **changes}
    return {key: value for key, value in merged.items() if value is not None}


@POSIX
def test_stopped_in_the_middle_of_a_folder(tiny_bundle: Path, tmp_path: Path) -> None:
    """What is done is written, each file of it whole; nothing is half there; the exit code says that it was stopped."""
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    data = good()
    for index in range(1500):
        path = folder / f"{index:04}.dcm"
        path.write_bytes(data) if index == 0 else os.link(folder / "0000.dcm", path)
    command = [*COMMAND, "predict", str(folder), *model_of(tiny_bundle), "--format", "json", "--output", str(out)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0)
    assert process.stdout is not None
    lines = [process.stdout.readline() for _ in range(3)]
    process.send_signal(signal.SIGINT)
    rest, errors = process.communicate(timeout=60)
    told = [json.loads(line) for line in [*lines, *rest.splitlines()]]
    assert process.returncode == 130
    assert 3 <= len(told) < 1500
    assert f"stopped after {len(told)} of 1500 inputs" in errors.decode()
    assert b"Traceback" not in errors
    written = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in out.iterdir()}
    assert sorted(written) == [Path(record["input"]["path"]).stem for record in told]
    assert all(record["status"] == "ok" for record in (*told, *written.values()))


@POSIX
@pytest.mark.parametrize("home", ["/proc/nobody", None])
def test_without_a_home_folder(tiny_bundle: Path, scan: Path, tmp_path: Path, home: str | None) -> None:
    """A service account: no home, or one that cannot be made. The result is the same; the cache is gone without."""
    variables = environment(HOME=home, XDG_CACHE_HOME=None, CXREDGE_CACHE=None, TMPDIR=str(tmp_path))
    command = [*COMMAND, "predict", str(scan), *model_of(tiny_bundle), "--format", "json"]
    done = subprocess.run(command, capture_output=True, env=variables, cwd=tmp_path, timeout=120)
    assert done.returncode == 0, done.stderr.decode()
    assert json.loads(done.stdout)["status"] == "ok"
    assert b"Traceback" not in done.stderr


@POSIX
def test_no_room_for_what_is_compiled(tiny_bundle: Path, scan: Path, tmp_path: Path) -> None:
    """No file may grow over 4 KB, as on a full disk: a typed error in a line; with room again, a result."""
    import resource

    def full() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))

    cache = tmp_path / "cache"
    variables = environment(CXREDGE_CACHE=str(cache))
    command = [*COMMAND, "predict", str(scan), *model_of(tiny_bundle), "--format", "json"]
    done = subprocess.run(command, capture_output=True, env=variables, timeout=120, preexec_fn=full)
    assert (done.returncode, done.stdout) == (2, b"")
    assert b"[output_unwritable]" in done.stderr and len(done.stderr.splitlines()) == 1
    again = subprocess.run(command, capture_output=True, env=variables, timeout=120)
    assert again.returncode == 0 and json.loads(again.stdout)["status"] == "ok"


class Failing(io.BytesIO):
    """A network drive that goes away after some bytes, or gives fewer than it was asked for."""

    def __init__(self, data: bytes, fails_at: int | None = None) -> None:
        super().__init__(data)
        self.fails_at = fails_at

    def read(self, size: int | None = -1, /) -> bytes:
        if self.fails_at is not None and self.tell() >= self.fails_at:
            raise OSError(5, "Input/output error")
        return super().read(min(size, 7001) if size and size > 0 else size)


@pytest.fixture(scope="module")
def model(tiny_bundle: Path) -> Any:
    with cxredge.load(tiny_bundle, engine="onnxruntime", precision="fp32") as loaded:
        yield loaded


@pytest.mark.parametrize("fails_at", [0, 100, 500, 300_000])
def test_a_source_that_fails_while_it_is_read(model: cxredge.Model, fails_at: int) -> None:
    with pytest.raises(InputError) as caught:
        model.predict(Failing(good(), fails_at))
    assert caught.value.code is Code.FILE_UNREADABLE
    told = list(model.predict_many([good(), Failing(good(), fails_at), good()]))
    assert [prediction.status for prediction in told] == ["ok", "error", "ok"]


def test_a_source_that_gives_little_at_a_time(model: cxredge.Model) -> None:
    little, whole = (model.predict(source) for source in (Failing(good()), good()))
    assert [f.probability for f in little.findings] == [f.probability for f in whole.findings]


@POSIX
def test_what_is_no_regular_file_is_not_waited_for(model: cxredge.Model, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path("/dev/zero"), tmp_path):
        with pytest.raises(InputError) as caught:
            model.predict(path)
        assert caught.value.code is Code.FILE_UNREADABLE
