"""What a graph can be compiled to: one small module an engine, each with the `compile` and `open` of an engine module.

They run in the child process of `cxredge.engines.child`, which knows an engine by nothing but these two names.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["TARGETS", "Target"]


@dataclass(frozen=True)
class Target:
    """One engine's form of a graph.

    Attributes:
        module: what the child process imports.
        artefact: the file that it is asked to write; more may come beside it.
        what: in words.
    """

    module: str
    artefact: str
    what: str


TARGETS: dict[str, Target] = {
    "openvino": Target("export.targets.openvino", "model.xml", "OpenVINO IR"),
    "tensorrt": Target("export.targets.tensorrt", "model.plan", "TensorRT plan"),
    "onnxruntime": Target("export.targets.onnxruntime", "model.onnx", "ONNX Runtime's optimised model"),
}
