"""The cache of compiled graphs: warm starts compile nothing, and whatever is wrong with an entry heals."""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from cxredge.bundle import Bundle
from cxredge.engines.base import EngineRequest
from cxredge.engines.cache import Cache, default_folder
from cxredge.engines.opening import open_session
from cxredge.errors import Code, EngineError
from tests.support.tiny_bundle import sample_images

GOOD = EngineRequest("rogue", "good")


def compilations(count: Path) -> int:
    return len(count.read_text(encoding="utf-8").split()) if count.exists() else 0


def logits(bundle: Bundle, request: EngineRequest = GOOD) -> np.ndarray:
    with open_session(bundle.graph("fp32"), request) as session:
        return session.run(sample_images(1))["logits"]


def entry(cache: Path) -> tuple[Path, Path]:
    """The stamp and the artefact of the only entry."""
    (stamp,), (artefact,) = cache.glob("*.json"), cache.glob("*.rogue")
    return stamp, artefact


def test_a_warm_start_compiles_nothing(
    bundle: Bundle, rogue: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = logits(bundle)
    assert compilations(rogue) == 1
    monkeypatch.setenv("CXREDGE_PYTHON", "/nowhere/python")  # a child could not even be started
    assert np.array_equal(logits(bundle), wanted)
    assert compilations(rogue) == 1


def cut(stamp: Path, artefact: Path) -> None:
    artefact.write_bytes(artefact.read_bytes()[:-1])


def flip(stamp: Path, artefact: Path) -> None:
    data = bytearray(artefact.read_bytes())
    data[len(data) // 2] ^= 1
    artefact.write_bytes(data)


def lose_artefact(stamp: Path, artefact: Path) -> None:
    artefact.unlink()


def lose_stamp(stamp: Path, artefact: Path) -> None:
    stamp.unlink()


def empty_stamp(stamp: Path, artefact: Path) -> None:
    stamp.write_bytes(b"")


def cut_stamp(stamp: Path, artefact: Path) -> None:
    stamp.write_bytes(stamp.read_bytes()[:40])


def odd_stamp(stamp: Path, artefact: Path) -> None:
    stamp.write_text("[1, 2]", encoding="utf-8")


def binary_stamp(stamp: Path, artefact: Path) -> None:
    stamp.write_bytes(b"\xff\xfe\x00")


def stamp_that_points_elsewhere(stamp: Path, artefact: Path) -> None:
    outside = stamp.parent.parent / "outside.rogue"
    outside.write_bytes(artefact.read_bytes())
    tree = json.loads(stamp.read_text(encoding="utf-8"))
    tree["artefact"] = "../outside.rogue"
    stamp.write_text(json.dumps(tree), encoding="utf-8")


def stamp_of_another_graph(stamp: Path, artefact: Path) -> None:
    tree = json.loads(stamp.read_text(encoding="utf-8"))
    tree["facts"]["graph"] = "0" * 64
    stamp.write_text(json.dumps(tree), encoding="utf-8")


DAMAGES: list[Callable[[Path, Path], None]] = [
    cut, flip, lose_artefact, lose_stamp, empty_stamp, cut_stamp, odd_stamp, binary_stamp,
    stamp_that_points_elsewhere, stamp_of_another_graph,
]  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_a_damaged_entry_heals(bundle: Bundle, rogue: Path, cache: Path, damage: Callable[[Path, Path], None]) -> None:
    wanted = logits(bundle)
    damage(*entry(cache))
    assert np.array_equal(logits(bundle), wanted)
    assert compilations(rogue) == 2
    logits(bundle)
    assert compilations(rogue) == 2, "it did not stay healed"
    entry(cache)


@pytest.mark.parametrize("variable", ["ROGUE_VERSION", "ROGUE_MACHINE"])
def test_an_update_or_another_machine_makes_entries_stale(
    bundle: Bundle, rogue: Path, variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    logits(bundle)
    monkeypatch.setenv(variable, "other")
    logits(bundle)
    assert compilations(rogue) == 2
    monkeypatch.delenv(variable)
    logits(bundle)
    assert compilations(rogue) == 2


def test_threads_are_part_of_the_key(bundle: Bundle, rogue: Path) -> None:
    for threads in (None, 1, 2, 1):
        logits(bundle, EngineRequest("rogue", "good", threads=threads))
    assert compilations(rogue) == 3


def test_an_entry_that_the_engine_refuses_is_built_again_once(
    bundle: Bundle, rogue: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = EngineRequest("rogue", "fussy")
    logits(bundle, request)
    monkeypatch.setenv("ROGUE_FUSSY", "1")
    with pytest.raises(EngineError) as caught:
        logits(bundle, request)
    assert caught.value.code is Code.ENGINE_FAILED
    assert compilations(rogue) == 2
    monkeypatch.delenv("ROGUE_FUSSY")
    logits(bundle, request)
    assert compilations(rogue) == 3


def test_a_folder_that_cannot_be_made(
    bundle: Bundle, rogue: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setenv("CXREDGE_CACHE", str(tmp_path / "file" / "cache"))
    with caplog.at_level(logging.WARNING, "cxredge.engines"):
        first = logits(bundle)
    assert "CXREDGE_CACHE" in caplog.text
    assert np.array_equal(logits(bundle), first)
    assert compilations(rogue) == 2


def test_a_folder_that_cannot_be_written(bundle: Bundle, rogue: Path, cache: Path) -> None:
    wanted = logits(bundle)
    cache.chmod(0o500)
    try:
        if os.access(cache, os.W_OK):
            pytest.skip("this account may write anywhere")
        assert np.array_equal(logits(bundle), wanted)
        assert compilations(rogue) == 1, "what is there can still be read"
        logits(bundle, EngineRequest("rogue", "good", threads=1))
        assert compilations(rogue) == 2
    finally:
        cache.chmod(0o700)


def test_a_file_where_the_folder_should_be(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").touch()
    assert Cache(tmp_path / "file").find({"engine": "rogue"}) is None
    assert "damaged" not in caplog.text, "nothing is there that could be damaged"


def test_no_scratch_is_left(bundle: Bundle, rogue: Path, cache: Path) -> None:
    logits(bundle)
    assert sorted(path.suffix for path in cache.iterdir()) == [".json", ".log", ".rogue"]


def test_old_entries_go_first(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    for index in range(70):
        with cache.workspace() as work:
            artefact = work / "artefact.bin"
            artefact.write_bytes(b"%d" % index)
            stored = cache.store({"index": index}, artefact)
        os.utime(stored.with_name(stored.name.split(".")[0] + ".json"), (1000 + index, 1000 + index))
    assert cache.find({"index": 69}) is not None and cache.find({"index": 0}) is None
    assert len(list(tmp_path.glob("*.bin"))) == len(list(tmp_path.glob("*.json"))) == 64


def test_where_the_cache_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CXREDGE_CACHE", str(tmp_path))
    assert default_folder() == tmp_path
    monkeypatch.delenv("CXREDGE_CACHE")
    if sys.platform not in ("win32", "darwin"):
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
        assert default_folder() == tmp_path / "xdg" / "cxredge"
        monkeypatch.setenv("XDG_CACHE_HOME", "relative")  # the standard says to ignore it
        monkeypatch.setenv("HOME", str(tmp_path / "home"))
        assert default_folder() == tmp_path / "home" / ".cache" / "cxredge"

    def homeless() -> Path:
        raise RuntimeError("no home")

    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.delenv("LOCALAPPDATA", raising=False)
    monkeypatch.setattr(Path, "home", homeless)
    assert default_folder().name == "cxredge-cache"
