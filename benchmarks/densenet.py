"""A DenseNet-121 method (CheXNet with its U-Net, random weights): OpenVINO INT8 and float32, against eager torch.

    python benchmarks/densenet.py [--rounds N] [--json FILE]            # needs the extras train, export, calibrate

The same network five times, on the same picture, in turns: eager torch in float32, onnxruntime, OpenVINO in float32,
and OpenVINO in INT8, once as bundles have it and once with unsigned activations (`calibration quantize --unsigned`,
which TensorRT does not take). It is quantised by this workbench on drawn chests; its accuracy is no matter here, as the
weights are random. Then whole predictions from a raw film: with pydicom, NumPy and Pillow before eager torch or plain
onnxruntime, as one would write it by hand, against the C core before OpenVINO. INT8 pays on processors with VNNI; the
result file says whether this one has it.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import torch

sys.path.append(str(Path(__file__).resolve().parents[1]))

from benchmarks import _films
from benchmarks._turns import IN_A_ROW, finish, in_turns, load, options, ratio, summary, timed, verdict
from calibration.quantise import finish as finished
from calibration.quantise import quantise
from cxredge.benchmark.machine import describe_machine
from cxredge.engines.base import Job
from cxredge.pixels import Geometry, Percentiles
from cxredge.reading import open_source, read_plane
from export.answers import opened
from export.graph import build_graph
from export.images import gather
from export.subject import random_subject

AT_LEAST = 8.0
NARROW = {
    "width": 0.125,
    "blocks": [1, 1, 2, 1],
    "field": 128,
    "crop": 64,
    "mask": 32,
    "unet_width": 8,
    "unet_depth": 2,
}
Array = npt.NDArray[np.float32]
Run = Callable[[Array], object]


@dataclass
class Drawn:
    """Images that calibrate, as the quantiser takes them."""

    images: Array

    def batch(self, index: int) -> Array:
        """One image as a batch."""
        return self.images[index : index + 1]


def by_hand(path: Path, side: int) -> Array:
    """A film to the network's input with pydicom, NumPy and Pillow."""
    from PIL import Image
    from pydicom import dcmread
    from pydicom.pixels import apply_modality_lut, apply_voi_lut

    ds = dcmread(path)
    shown = apply_voi_lut(apply_modality_lut(ds.pixel_array, ds), ds)
    image = Image.fromarray((shown / 4095).astype(np.float32)).resize((side, side), Image.Resampling.BOX)
    return np.array(image)[None, None]  # torch warns of what cannot be written


def by_core(path: Path, side: int) -> Array:
    """The same with this package."""
    return read_plane(open_source(path), Geometry(side, side, "stretch"), Percentiles())[0][None, None]


def runs(stack: ExitStack, options: dict[str, Any] | None, images: int) -> tuple[dict[str, Run], Array, int]:
    """Name -> what runs the network on a batch; a picture; the input's side."""
    subject = random_subject("chexnet", options)
    graph = build_graph(subject, "fp32")
    side = graph.input_size[0]
    drawn = gather(side, phantoms=images).batch

    def int8(*, unsigned: bool) -> bytes:
        model, planes = onnx.load_from_string(graph.data), Drawn(drawn)
        made = quantise(model, planes, range(images), unsigned=unsigned)  # type: ignore[arg-type]
        return bytes(finished(made).SerializeToString())

    def torch_run(batch: Array) -> object:
        with torch.inference_mode():
            return subject.method(torch.from_numpy(batch))

    found: dict[str, Run] = {"torch": torch_run}
    variants = {
        "onnxruntime fp32": graph.data,
        "openvino fp32": graph.data,
        "openvino int8": int8(unsigned=False),
        "openvino int8, unsigned": int8(unsigned=True),
    }
    for name, data in variants.items():
        engine, precision = name.split(",")[0].split()
        job = Job("cpu", precision, None, graph.input_size, graph.outputs)
        session = stack.enter_context(opened(data, engine, job, drawn[:1], limit_seconds=600)).session
        found[name] = session.run
    return found, drawn[:1].copy(), side


def main() -> None:
    """Measure and print."""
    asked = options(__doc__, rounds=30).parse_args()
    before, rows = load(), {}
    rounds = 2 if asked.smoke else asked.rounds
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        film = _films.write(folder, *((600, 500) if asked.smoke else (3000, 2500)))["raw"]
        found, picture, side = runs(stack, NARROW if asked.smoke else None, 2 if asked.smoke else 24)
        alone = {name: lambda run=run: run(picture) for name, run in found.items()}
        whole = {
            "pydicom, Pillow, torch": lambda: found["torch"](by_hand(film, side)),
            "pydicom, Pillow, onnxruntime": lambda: found["onnxruntime fp32"](by_hand(film, side)),
            "cxredge core, openvino fp32": lambda: found["openvino fp32"](by_core(film, side)),
            "cxredge core, openvino int8": lambda: found["openvino int8"](by_core(film, side)),
        }
        measured = {
            kind: in_turns({name: timed(work, IN_A_ROW) for name, work in sides.items()}, rounds)
            for kind, sides in (("network", alone), ("film to outputs", whole))
        }
    for kind, taken in measured.items():
        slow = next(iter(taken))
        print(f"{kind}, milliseconds; how many times as fast as {slow}")
        for name, values in taken.items():
            row = rows[f"{kind}: {name}"] = summary(values) | ratio(taken[slow], values)
            target = AT_LEAST if (kind, name) == ("network", "openvino int8") and not asked.smoke else None
            print(f"  {name:<30}{row['median']:9.2f}   {row['ratio']:5.2f}{verdict(row['ratio'], target)}")
    flags = [flag for flag in describe_machine().flags if "vnni" in flag or flag in ("asimddp", "i8mm")]
    print(f"dot products of 8 bits in hardware: {', '.join(flags) or 'none'}")
    finish(rows | {"vnni": flags, "torch": torch.__version__}, asked, before)


if __name__ == "__main__":
    main()
