"""What of the TensorRT engine can be tested without TensorRT: its names, its refusals, and the arithmetic around it."""

from __future__ import annotations

import ast
import inspect
import os
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cxredge.engines import cuda, tensorrt
from cxredge.engines.base import CheckedSession, Job
from cxredge.errors import Code, EngineError

JOB = Job("cuda", "fp32", None, (4, 4), {"logits": (14,)})
# The variables in tensorrt.py that hold TensorRT's own objects, and their types.
KINDS = {
    "trt": "",
    "builder": "Builder",
    "network": "INetworkDefinition",
    "parser": "OnnxParser",
    "config": "IBuilderConfig",
    "profile": "IOptimizationProfile",
    "runtime": "Runtime",
    "engine": "ICudaEngine",
    "context": "IExecutionContext",
}


def dotted(node: ast.AST) -> str | None:
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        base = dotted(node.value)
        return f"{base}.{node.attr}" if base else None
    if isinstance(node, ast.Call):
        made = dotted(node.func)
        return "ITimingCache" if made == "config.get_timing_cache" else None
    return None


def used_names() -> Iterator[str]:
    """Every name that the engine takes off an object of TensorRT, as `Type.name`."""
    for node in ast.walk(ast.parse(inspect.getsource(tensorrt))):
        name = dotted(node) if isinstance(node, ast.Attribute) else None
        if name is None:
            continue
        first, _, rest = name.partition(".")
        if first in KINDS:
            yield f"{KINDS[first]}.{rest}".lstrip(".")
        elif first == "ITimingCache":
            yield name


def test_the_list_of_names_is_what_is_used() -> None:
    used = set(used_names())
    prefixes = {name.rpartition(".")[0] for name in used}
    assert used - prefixes | {"Logger", "Builder", "OnnxParser", "Runtime"} == set(tensorrt.BINDINGS)


def bindings_binary() -> bytes:
    named = os.environ.get("CXREDGE_TENSORRT_BINDINGS")
    if not named:
        pytest.skip("set CXREDGE_TENSORRT_BINDINGS to a folder with the unpacked tensorrt_cu13_bindings wheel")
    libraries = [path for path in Path(named).rglob("tensorrt*") if path.suffix in (".so", ".pyd")]
    assert libraries, f"no tensorrt library under {named}"
    return libraries[0].read_bytes()


def holds(binary: bytes, name: str) -> bool:
    """pybind11 keeps each name as a zero-terminated string, which a linker may make the tail of a longer one."""
    return name.encode() + b"\0" in binary


def test_every_name_is_in_the_real_bindings() -> None:
    binary = bindings_binary()
    assert not [name for name in tensorrt.BINDINGS for part in name.split(".") if not holds(binary, part)]


@pytest.mark.parametrize(
    "gone", ["EXPLICIT_BATCH", "IInt8EntropyCalibrator2", "max_workspace_size", "execute_async_v2"]
)
def test_what_tensorrt_11_took_away_is_not_used(gone: str) -> None:
    assert not holds(bindings_binary(), gone)
    assert gone not in inspect.getsource(tensorrt)


def test_without_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tensorrt, "driver", lambda: None)
    assert tensorrt.devices() == ()
    with pytest.raises(EngineError) as caught:
        tensorrt.machine("cuda")
    assert caught.value.code is Code.DEVICE_MISSING and "NVIDIA" in caught.value.detail


def test_no_driver_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cuda, "_LIBRARY", "libthere_is_no_such_library.so.1")
    cuda.driver.cache_clear()
    assert cuda.driver() is None
    cuda.driver.cache_clear()


@pytest.mark.parametrize(
    ("version", "ok"), [(None, False), ("10.13.2", False), ("11.0.0", True), ("11.4.0.106", True), ("12.1", True)]
)
def test_versions(monkeypatch: pytest.MonkeyPatch, version: str | None, ok: bool) -> None:
    monkeypatch.setattr(tensorrt, "package_version", lambda *names: version)
    state = tensorrt.availability()
    assert state.ok is ok and (ok or "pip install" in state.install)


def test_bindings_of_another_version_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    module: Any = types.ModuleType("tensorrt")
    module.__version__ = "99.0"
    monkeypatch.setitem(__import__("sys").modules, "tensorrt", module)
    tensorrt._module.cache_clear()
    with pytest.raises(EngineError) as caught:
        tensorrt._module()
    assert caught.value.code is Code.ENGINE_MISSING and "99.0 has no Builder" in caught.value.detail


class FakeGpu:
    """Memory that is a dictionary, to see that batches are cut, addressed and put together rightly."""

    def __init__(self) -> None:
        self.memory: dict[int, np.ndarray] = {}
        self.sizes: dict[int, int] = {}
        self.freed: list[int] = []

    def use(self) -> None: ...

    def stream(self) -> int:
        return 5

    def end_stream(self, stream: int) -> None:
        self.freed.append(stream)

    def wait(self, stream: int) -> None: ...

    def allocate(self, size: int) -> int:
        address = 1000 + len(self.sizes)
        self.sizes[address] = size
        return address

    def free(self, address: int) -> None:
        self.freed.append(address)

    def upload(self, address: int, array: np.ndarray, stream: int) -> None:
        assert array.nbytes <= self.sizes[address]
        self.memory[address] = array.copy()

    def download(self, address: int, shape: tuple[int, ...], stream: int) -> np.ndarray:
        assert 4 * int(np.prod(shape)) <= self.sizes[address]
        return self.memory[address].reshape(shape)


class FakeEngine:
    """Stands for ICudaEngine and its context: the logits are each image's sum."""

    def __init__(self, gpu: FakeGpu) -> None:
        self.gpu, self.addresses, self.batches = gpu, {}, []
        self.refuse = False

    def create_execution_context(self) -> FakeEngine:
        return self

    def set_tensor_address(self, name: str, address: int) -> bool:
        self.addresses[name] = address
        return True

    def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool:
        self.batches.append(shape[0])
        return not self.refuse and shape[0] <= tensorrt.MAX_BATCH

    def execute_async_v3(self, stream: int) -> bool:
        image = self.gpu.memory[self.addresses["image"]]
        sums = image.reshape(len(image), -1).sum(1, dtype=np.float32)
        self.gpu.memory[self.addresses["logits"]] = np.repeat(sums[:, None], 14, axis=1)
        return stream == 5


@pytest.mark.parametrize("count", [1, 16, 17, 40])
def test_batches_are_cut_to_the_profile(count: int) -> None:
    gpu = FakeGpu()
    engine = FakeEngine(gpu)
    raw = tensorrt.TensorRtSession(gpu, None, engine, JOB)  # type: ignore[arg-type]
    image = np.random.default_rng(0).random((count, 1, 4, 4), dtype=np.float32)
    with CheckedSession(raw, JOB) as session:
        got = session.run(image)["logits"]
        engine.refuse = True
        with pytest.raises(EngineError):
            session.run(image)
    assert np.allclose(got[:, 3], image.sum((1, 2, 3))) and max(engine.batches) <= tensorrt.MAX_BATCH
    assert sorted(gpu.freed) == [5, 1000, 1001]


def test_a_bound_run_uploads_once_and_runs_each_time() -> None:
    gpu = FakeGpu()
    engine = FakeEngine(gpu)
    raw = tensorrt.TensorRtSession(gpu, None, engine, JOB)  # type: ignore[arg-type]
    image = np.random.default_rng(0).random((2, 1, 4, 4), dtype=np.float32)
    with CheckedSession(raw, JOB) as session:
        once = session.bound(image)
        for _ in range(3):
            gpu.memory.pop(1001, None)
            once()
            assert np.allclose(gpu.memory[1001][:, 0], image.sum((1, 2, 3)))
        assert engine.batches == [2]
        with pytest.raises(EngineError):
            session.bound(np.zeros((tensorrt.MAX_BATCH + 1, 1, 4, 4), np.float32))


def test_driver_statuses_become_codes() -> None:
    class Library:
        """The driver's C functions: each gives a status."""

        def __init__(self, status: int) -> None:
            self.status = status

        def cuInit(self, flags: int) -> int:  # noqa: N802
            return 0

        def cuDeviceGetCount(self, count: Any) -> int:  # noqa: N802
            count._obj.value = 1
            return 0

        def cuMemAlloc_v2(self, address: Any, size: Any) -> int:  # noqa: N802
            address._obj.value = 4096
            return self.status

    assert cuda.Driver(Library(0)).allocate(8) == 4096
    for status, code in ((2, Code.OUT_OF_MEMORY), (700, Code.ENGINE_FAILED)):
        with pytest.raises(EngineError) as caught:
            cuda.Driver(Library(status)).allocate(8)
        assert caught.value.code is code
