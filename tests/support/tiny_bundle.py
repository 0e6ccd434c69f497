"""Makes a tiny but real bundle by code, for tests and for a first look: `python -m tests.support.tiny_bundle OUT`.

The masks come from where lungs and heart usually lie and from how dark the image is there, so a chest gives plausible
outlines. The findings come from a small convolutional network with random weights: they mean nothing, and every
sentence of the bundle says so.
"""

from __future__ import annotations

import argparse
import json
import logging
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from cxredge.bundle import write_bundle
from cxredge.result import LABELS

Array = npt.NDArray[np.float32]

SIDE, MASK, MAP = 256, 128, 7
INTENDED_USE = (
    "For testing the software only. The weights are random: the findings and their probabilities mean nothing. "
    "Never use it on a patient."
)
# Centre x, centre y, radius x, radius y as fractions of the plane. The patient's left lung is on the image's right.
_BLOBS = ((0.68, 0.46, 0.17, 0.30), (0.32, 0.46, 0.17, 0.30), (0.54, 0.62, 0.17, 0.15))
# One a label, so that the logits of real chests spread around a little under zero.
_GAIN = (4.4, 17.6, 5.0, 9.2, 4.5, 6.8, 14.0, 5.7, 7.7, 19.4, 11.1, 13.0, 6.7, 12.5)
_BIAS = (5.2, 3.5, -4.4, -3.2, -3.9, -5.4, -3.6, 0.5, -4.7, -1.8, 5.3, -5.4, -3.0, -0.8)


def _radius(blob: tuple[float, float, float, float]) -> Array:
    """How far each mask pixel lies from the blob's centre, 1 on its border."""
    grid = (np.arange(MASK) + 0.5) / MASK
    x, y = np.meshgrid(grid, grid)
    return np.hypot((x - blob[0]) / blob[2], (y - blob[1]) / blob[3]).astype(np.float32)


class _Builder:
    """Collects nodes and initializers."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: list[onnx.TensorProto] = []

    def const(self, name: str, value: npt.ArrayLike, dtype: type = np.float32) -> str:
        self.initializers.append(numpy_helper.from_array(np.asarray(value, dtype=dtype), name))
        return name

    def op(self, kind: str, inputs: list[str], output: str, **attributes: Any) -> str:
        self.nodes.append(helper.make_node(kind, inputs, [output], name=f"n_{output}", **attributes))
        return output


def _segment(b: _Builder) -> str:
    """`masks`: where the structures usually lie, moved by how dark the image is there."""
    radii = np.stack([_radius(blob) for blob in _BLOBS])
    prior = np.clip(16.0 * (1.0 - radii**2), -30.0, 0.0) - 0.5
    thorax = (radii < 1.2).any(0) / (radii < 1.2).any(0).sum()
    half = b.op("AveragePool", ["image"], "half", kernel_shape=[2, 2], strides=[2, 2])
    blur = b.op("AveragePool", [half], "blur", kernel_shape=[7, 7], pads=[3, 3, 3, 3], strides=[1, 1])
    weight, axes = b.const("thorax", thorax[None, None]), b.const("plane_axes", [2, 3], np.int64)
    mean = b.op("ReduceSum", [b.op("Mul", [blur, weight], "weighted"), axes], "mean", keepdims=1)
    centred = b.op("Sub", [blur, mean], "centred")
    square = b.op("Mul", [b.op("Mul", [centred, centred], "squared"), weight], "weighted_square")
    spread = b.op("Sqrt", [b.op("ReduceSum", [square, axes], "variance", keepdims=1)], "spread")
    score = b.op("Div", [centred, b.op("Add", [spread, b.const("floor", 0.02)], "safe_spread")], "raw_score")
    score = b.op("Clip", [score, b.const("low", -1.5), b.const("high", 1.5)], "score")
    # Lungs are darker than the thorax on average, the heart is brighter.
    core = (radii < 0.8) / (radii < 0.8).sum(axis=(1, 2), keepdims=True)
    inside = b.op("Mul", [score, b.const("core", core[None])], "score_inside")
    typical = b.op("ReduceSum", [inside, axes], "typical", keepdims=1)
    support = b.op("Add", [score, b.op("Mul", [typical, b.const("weight_of_typical", 1.0)], "from_typical")], "support")
    evidence = b.op("Mul", [support, b.const("direction", np.reshape([-3.0, -3.0, 3.0], (1, 3, 1, 1)))], "evidence")
    return b.op("Sigmoid", [b.op("Add", [evidence, b.const("prior", prior[None])], "mask_logits")], "masks")


def _classify(b: _Builder, seed: int) -> None:
    """`logits` and `heatmaps` from four convolutions with random weights."""
    rng = np.random.default_rng(seed)
    small = b.op("AveragePool", ["image"], "small", kernel_shape=[4, 4], strides=[4, 4])
    level = b.op("Mul", [b.op("Sub", [small, b.const("grey", 0.5)], "shifted"), b.const("contrast", 4.0)], "level")
    channels = 1
    for index, (width, kernel, stride, pads) in enumerate(((8, 3, 2, 1), (16, 3, 2, 1), (24, 3, 2, 1), (24, 2, 1, 0))):
        scale = np.sqrt(2.0 / (channels * kernel * kernel))
        weights = b.const(f"w{index}", rng.normal(0.0, scale, (width, channels, kernel, kernel)))
        bias = b.const(f"b{index}", rng.normal(0.0, 0.1, width))
        settings = {"kernel_shape": [kernel] * 2, "strides": [stride] * 2, "pads": [pads] * 4}
        level = b.op("Relu", [b.op("Conv", [level, weights, bias], f"conv{index}", **settings)], f"relu{index}")
        channels = width
    weights = rng.normal(0.0, 1.0, (len(LABELS), channels, 1, 1))
    weights -= weights.mean(axis=1, keepdims=True)
    cam = b.op("Conv", [level, b.const("cam_w", weights / np.sqrt(channels))], "cam", kernel_shape=[1, 1])
    b.op("Sigmoid", [cam], "heatmaps")
    pooled = b.op("Flatten", [b.op("GlobalAveragePool", [cam], "pooled")], "flat", axis=1)
    b.op("Add", [b.op("Mul", [pooled, b.const("gain", _GAIN)], "scaled"), b.const("bias", _BIAS)], "logits")


def _gate(b: _Builder) -> None:
    """`gate`: too little lung, lungs brighter than the thorax, the picture's brightness upside down."""
    lungs = b.op("Flatten", [b.op("GlobalAveragePool", ["masks"], "shares")], "flat_shares", axis=1)
    not_chest = b.op("MatMul", [lungs, b.const("lung_weight", [[-40.0], [-40.0], [0.0]])], "lung_share")
    not_chest = b.op("Add", [not_chest, b.const("lung_bias", 1.0)], "not_chest")
    inside = np.mean([_radius(blob) < 0.8 for blob in _BLOBS[:2]], axis=0)
    axes = b.const("gate_axes", [1, 2, 3], np.int64)
    bright = b.op("Mul", ["score", b.const("inside", 8.0 * inside[None, None] / inside.sum())], "bright")
    inverted = b.op("ReduceSum", [bright, axes], "bright_sum", keepdims=0)
    slope = np.linspace(-1.0, 1.0, MASK)[None, None, :, None] * np.ones((1, 1, 1, MASK)) / MASK**2
    fall = b.op(
        "ReduceSum", [b.op("Mul", ["score", b.const("slope", -8.0 * slope)], "falling"), axes], "fall", keepdims=0
    )
    last = b.const("last_axis", [1], np.int64)
    columns = [
        not_chest,
        b.op("Unsqueeze", [inverted, last], "inverted"),
        b.op("Sub", [b.op("Unsqueeze", [fall, last], "fall_column"), b.const("turn_bias", 4.0)], "turned"),
    ]
    b.op("Concat", columns, "gate", axis=1)


def tiny_model(*, gate: bool = False, seed: int = 14) -> onnx.ModelProto:
    """The fp32 graph with the face that every method has."""
    b = _Builder()
    _segment(b)
    _classify(b, seed)
    if gate:
        _gate(b)
    shapes = {"logits": [len(LABELS)], "masks": [3, MASK, MASK], "heatmaps": [len(LABELS), MAP, MAP]}
    shapes |= {"gate": [3]} if gate else {}
    graph = helper.make_graph(
        b.nodes,
        "tiny",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["N", 1, SIDE, SIDE])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", *shape]) for name, shape in shapes.items()],
        b.initializers,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    return model


def sample_images(count: int, seed: int = 0) -> Array:
    """Rough pictures of a chest, [count, 1, 256, 256] in 0..1: dark lungs beside a bright middle, and noise."""
    rng = np.random.default_rng(seed)
    grid = (np.arange(SIDE) + 0.5) / SIDE
    x, y = np.meshgrid(grid, grid)
    images = []
    for _ in range(count):
        image = np.full((SIDE, SIDE), rng.uniform(0.55, 0.75))
        for cx, cy, rx, ry in _BLOBS[:2]:
            shift, size = rng.uniform(-0.03, 0.03, 2), rng.uniform(0.85, 1.05)
            inside = np.hypot((x - cx - shift[0]) / (rx * size), (y - cy - shift[1]) / (ry * size))
            image -= rng.uniform(0.25, 0.4) / (1.0 + np.exp((inside - 0.9) * 14.0))
        image += 0.05 * np.sin(x * rng.uniform(10, 40)) * np.sin(y * rng.uniform(20, 60))
        images.append(np.clip(image + rng.normal(0.0, 0.03, image.shape), 0.0, 1.0))
    return np.asarray(images, dtype=np.float32)[:, None]


def run_onnxruntime(model: bytes, image: Array) -> dict[str, Array]:
    """The graph's outputs, straight from onnxruntime without the package's own engine."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, {"image": image}), strict=True))


def quantise(model: onnx.ModelProto) -> bytes:
    """The int8 graph: Q/DQ pairs around the convolutions, from onnxruntime's own quantiser."""
    from onnxruntime import quantization as q

    class Reader(q.CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self._left = iter(sample_images(8, seed=1))

        def get_next(self) -> dict[str, Array] | None:
            image = next(self._left, None)
            return None if image is None else {"image": image[None]}

    # The quantiser advises, on the root logger, to preprocess first; this graph needs none.
    logging.disable(logging.WARNING)
    try:
        return _quantised(q, model, Reader())
    finally:
        logging.disable(logging.NOTSET)


def _quantised(q: Any, model: onnx.ModelProto, reader: Any) -> bytes:
    with tempfile.TemporaryDirectory() as scratch:
        source, target = Path(scratch) / "fp32.onnx", Path(scratch) / "int8.onnx"
        source.write_bytes(model.SerializeToString())
        q.quantize_static(
            source,
            target,
            reader,
            quant_format=q.QuantFormat.QDQ,
            op_types_to_quantize=["Conv"],
            per_channel=True,
            activation_type=q.QuantType.QUInt8,
            weight_type=q.QuantType.QInt8,
            # 7 bits: on a processor without VNNI, sums of two full-range products overflow their 16 bits.
            reduce_range=True,
            extra_options={"ActivationSymmetric": False},
        )
        return target.read_bytes()


def npy_bytes(array: Array) -> bytes:
    """The array as an `.npy` file."""
    import io

    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    return buffer.getvalue()


def tiny_manifest(*, gate: bool = False, int8: bool = True) -> dict[str, Any]:
    """The manifest without the hashes, as `write_bundle` takes it."""
    points = {
        name: {"threshold": threshold, "how": "set by hand: the weights are random", "data": "none"}
        for name, threshold in (("balanced", 0.5), ("screening", 0.3), ("confirm", 0.7))
    }
    outputs = ["logits", "masks", "heatmaps", *(["gate"] if gate else [])]
    tolerance = {"fp32": dict.fromkeys(outputs, 1e-3), "bf16": dict.fromkeys(outputs, 0.25)}
    graphs: dict[str, Any] = {"fp32": {"file": "fp32.onnx"}}
    if int8:
        tolerance["int8"] = dict.fromkeys(outputs, 0.25)
        graphs["int8"] = {"file": "int8.onnx"}
    return {
        "name": "tiny-test",
        "version": "1",
        "method": "random weights",
        "labels": list(LABELS),
        "input": {"rows": SIDE, "columns": SIDE, "fit": "pad"},
        "masks": {"rows": MASK, "columns": MASK},
        "heatmaps": {"rows": MAP, "columns": MAP},
        "findings": [
            {"label": label, "calibration": {"kind": "temperature", "scale": 1.0}, "operating_points": points}
            for label in LABELS
        ],
        "default_operating_point": "balanced",
        "gate": {"not_chest": 0.5, "inverted": 0.5, "turned": 0.5} if gate else None,
        "graphs": graphs,
        "golden": {
            "input": "golden_image.npy",
            "outputs": {name: f"golden_{name}.npy" for name in outputs},
            "tolerance": tolerance,
        },
        "gate_report": None,
        "model_card": "model_card.md",
        "intended_use": INTENDED_USE,
        "clinical": False,
    }


def tiny_files(*, gate: bool = False, int8: bool = True) -> dict[str, bytes | Path]:
    """Every file of the bundle but the manifest."""
    model = tiny_model(gate=gate)
    graph, image = model.SerializeToString(), sample_images(2)
    files: dict[str, bytes | Path] = {"fp32.onnx": graph, "golden_image.npy": npy_bytes(image)}
    files |= {f"golden_{name}.npy": npy_bytes(array) for name, array in run_onnxruntime(graph, image).items()}
    files["model_card.md"] = f"# tiny-test\n\n{INTENDED_USE}\n".encode()
    return files | ({"int8.onnx": quantise(model)} if int8 else {})


def write_tiny_bundle(out: Path, *, gate: bool = False, int8: bool = True) -> Path:
    """Seal the tiny bundle at `out`: a folder, or an archive if it ends in `.cxr`."""
    return write_bundle(out, tiny_manifest(gate=gate, int8=int8), tiny_files(gate=gate, int8=int8))


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, help="folder, or file ending in .cxr")
    parser.add_argument("--cxr", action="store_true", help="write an archive: .cxr is added to OUT if it lacks it")
    parser.add_argument("--gate", action="store_true", help="give the graph the optional gate output")
    parser.add_argument("--no-int8", action="store_true", help="leave the int8 graph out")
    args = parser.parse_args()
    out = args.out.with_suffix(".cxr") if args.cxr else args.out
    written = write_tiny_bundle(out, gate=args.gate, int8=not args.no_int8)
    print(json.dumps({"bundle": str(written), "intended_use": INTENDED_USE}))  # noqa: T201


if __name__ == "__main__":
    main()
