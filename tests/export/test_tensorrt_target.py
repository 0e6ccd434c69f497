"""What of the TensorRT target can be tested without TensorRT: the order of its calls, and its names."""

from __future__ import annotations

import ast
import inspect
import os
from pathlib import Path
from typing import Any

import pytest

from cxredge.errors import EngineError
from export.targets import tensorrt
from export.targets.common import Options, reasons

# The variables in the target that hold TensorRT's own objects, and their types.
KINDS = {
    "trt": "",
    "tensorrt": "",
    "builder": "Builder",
    "parser": "OnnxParser",
    "config": "IBuilderConfig",
    "profile": "IOptimizationProfile",
    "runtime": "Runtime",
}


class Recorder:
    """Stands for an object of TensorRT: knows the names of `BINDINGS`, writes down what is asked of it, no more."""

    def __init__(self, kind: str, calls: list[tuple[Any, ...]], **given: Any) -> None:
        self.__dict__.update(_kind=kind, _calls=calls, **given)

    def _known(self, name: str) -> str:
        dotted = f"{self._kind}.{name}".lstrip(".")
        known = any(entry == dotted or entry.startswith(f"{dotted}.") for entry in tensorrt.BINDINGS)
        if not known:
            raise AttributeError(f"TensorRT {dotted} is not among the names that are held against the real bindings")
        return dotted

    def __getattr__(self, name: str) -> Any:
        dotted = self._known(name)
        return getattr(self, f"_{dotted.replace('.', '_')}", None) or Recorder(dotted, self._calls, **self._given())

    def __setattr__(self, name: str, value: Any) -> None:
        self._calls.append((self._known(name), value))

    def _given(self) -> dict[str, Any]:
        return {key: value for key, value in self.__dict__.items() if key not in ("_kind", "_calls")}

    def __int__(self) -> int:
        return {"NetworkDefinitionCreationFlag.STRONGLY_TYPED": 3}[self._kind]

    def __call__(self, *arguments: Any) -> Any:
        self._calls.append((self._kind, *arguments))
        made = {
            "Builder.create_network": "INetworkDefinition",
            "Builder.create_builder_config": "IBuilderConfig",
            "Builder.create_optimization_profile": "IOptimizationProfile",
            "IBuilderConfig.get_timing_cache": "ITimingCache",
        }.get(self._kind)
        if made or self._kind in ("Logger", "Builder", "OnnxParser"):
            return Recorder(made or self._kind, self._calls, **self._given())
        answers = {
            "OnnxParser.parse": self.__dict__.get("reads", True),
            "OnnxParser.get_error": "In node 3: No importer registered for op: Bogus",
            "Builder.build_serialized_network": b"plan" if self.__dict__.get("builds", True) else None,
            "ITimingCache.serialize": b"timing",
        }
        return answers.get(self._kind)


def called(calls: list[tuple[Any, ...]], name: str) -> list[tuple[Any, ...]]:
    return [arguments for kind, *arguments in calls if kind == name]  # type: ignore[misc]


def test_a_build_in_its_order() -> None:
    calls: list[tuple[Any, ...]] = []
    plan, timing = tensorrt.build(Recorder("", calls), b"graph", (256, 256), Options(most=4), b"earlier")
    assert (plan, timing) == (b"plan", b"timing")
    assert called(calls, "Builder.create_network") == [[1 << 3]], "the network must be strongly typed"
    assert called(calls, "OnnxParser.parse") == [[b"graph"]]
    one, most = (1, 1, 256, 256), (4, 1, 256, 256)
    assert called(calls, "IOptimizationProfile.set_shape") == [["image", one, one, most]]
    assert called(calls, "IBuilderConfig.create_timing_cache") == [[b"earlier"]]
    assert [flag._kind for (flag,) in called(calls, "IBuilderConfig.clear_flag")] == ["BuilderFlag.TF32"]
    assert not called(calls, "IBuilderConfig.set_flag")
    order = [kind for kind, *_ in calls]
    assert order.index("IBuilderConfig.add_optimization_profile") < order.index("Builder.build_serialized_network")
    assert order.index("IBuilderConfig.set_timing_cache") < order.index("Builder.build_serialized_network")


def test_a_version_compatible_plan_if_asked() -> None:
    calls: list[tuple[Any, ...]] = []
    tensorrt.build(Recorder("", calls), b"", (4, 4), Options(version_compatible=True), b"")
    assert [flag._kind for (flag,) in called(calls, "IBuilderConfig.set_flag")] == ["BuilderFlag.VERSION_COMPATIBLE"]


def test_refusals() -> None:
    with pytest.raises(EngineError, match="does not know the operator Bogus"), reasons("tensorrt"):
        tensorrt.build(Parser(), b"", (4, 4), Options(), b"")
    with pytest.raises(EngineError, match="built nothing"):
        tensorrt.build(Recorder("", [], builds=False), b"", (4, 4), Options(), b"")


class Parser(Recorder):
    """A TensorRT whose parser does not read the graph."""

    def __init__(self) -> None:
        super().__init__("", [], reads=False, _OnnxParser_num_errors=1)


def dotted(node: ast.AST) -> str | None:
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        base = dotted(node.value)
        return f"{base}.{node.attr}" if base else None
    if isinstance(node, ast.Call):
        return "ITimingCache" if dotted(node.func) == "config.get_timing_cache" else None
    return None


def test_the_list_of_names_is_what_is_used() -> None:
    used = set()
    for node in ast.walk(ast.parse(inspect.getsource(tensorrt))):
        name = dotted(node) if isinstance(node, ast.Attribute) else None
        first, _, rest = (name or "").partition(".")
        if first in KINDS and rest:
            used.add(f"{KINDS[first]}.{rest}".lstrip("."))
        elif first == "ITimingCache":
            used.add(str(name))
    prefixes = {name.rpartition(".")[0] for name in used}
    assert used - prefixes | {"Logger", "Builder", "OnnxParser", "Runtime"} == set(tensorrt.BINDINGS)


def test_every_name_is_in_the_real_bindings() -> None:
    named = os.environ.get("CXREDGE_TENSORRT_BINDINGS")
    if not named:
        pytest.skip("set CXREDGE_TENSORRT_BINDINGS to a folder with the unpacked tensorrt_cu13_bindings wheel")
    libraries = [path for path in Path(named).rglob("tensorrt*") if path.suffix in (".so", ".pyd")]
    assert libraries, f"no tensorrt library under {named}"
    binary = libraries[0].read_bytes()
    parts = {part for name in tensorrt.BINDINGS for part in name.split(".")}
    assert not [part for part in parts if part.encode() + b"\0" not in binary]
