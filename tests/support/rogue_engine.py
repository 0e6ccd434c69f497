"""An engine that misbehaves for real: the device that is asked for says how. It runs through the real child process."""

from __future__ import annotations

import ctypes
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from cxredge.engines.base import Array, Availability, EngineInfo, Job, Outputs
from cxredge.errors import Code, EngineError

NAME = "rogue"
SUFFIX = ".rogue"
MODULE = "tests.support.rogue_engine"

COMPILE = ("segfault", "abort", "exit", "hang", "hang-with-child", "raise", "typed", "no-artefact", "hoard")
RUN = ("segfault-first-run", "wrong-shape", "wrong-type", "missing-output", "nan", "wrong-answer", "slow")
FINE = ("good", "fussy")


def availability() -> Availability:
    return Availability(True, os.environ.get("ROGUE_VERSION", "1.0"))


def devices() -> tuple[str, ...]:
    named = os.environ.get("ROGUE_DEVICES")
    return tuple(named.split(",")) if named else (*FINE, *COMPILE, *RUN)


def precisions(device: str) -> tuple[str, ...]:
    return ("fp32",)


def machine(device: str) -> str:
    return os.environ.get("ROGUE_MACHINE", "here")


def compile(graph: bytes, job: Job, artefact: Path) -> None:  # noqa: A001
    count = os.environ.get("ROGUE_COUNT")
    if count:
        with Path(count).open("a", encoding="utf-8") as file:
            file.write(f"{job.device}\n")
    if job.device == "segfault":
        ctypes.string_at(0)
    if job.device == "abort":
        os.abort()
    if job.device == "exit":
        os._exit(3)
    if job.device == "raise":
        raise RuntimeError("the vendor's compiler\nis not happy")
    if job.device == "typed":
        raise EngineError(Code.PRECISION_UNSUPPORTED, "no such precision")
    if job.device == "hoard":
        raise MemoryError
    if job.device == "hang-with-child":
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        Path(os.environ["ROGUE_PID"]).write_text(str(child.pid), encoding="utf-8")
    if job.device.startswith("hang"):
        time.sleep(600)
    if job.device != "no-artefact":
        artefact.write_bytes(json.dumps({"device": job.device}).encode() + b"\n" + graph)


def open(artefact: Path, job: Job) -> RogueSession:  # noqa: A001
    if job.device == "fussy" and os.environ.get("ROGUE_FUSSY"):
        raise RuntimeError("this artefact is of another build")
    return RogueSession(artefact.read_bytes().partition(b"\n")[2], job)


class RogueSession:
    """Answers right, by onnxruntime, unless its device says otherwise."""

    def __init__(self, graph: bytes, job: Job) -> None:
        import onnxruntime

        self._session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
        self._job = job
        self.info = EngineInfo(NAME, availability().version or "", job.device, job.precision, job.threads)

    def run(self, image: Array) -> Outputs:
        names = list(self._job.outputs)
        outputs = dict(zip(names, self._session.run(names, {"image": image}), strict=True))
        device = os.environ.get("ROGUE_NOW") or self._job.device  # it may also fall ill later
        if device == "segfault-first-run":
            ctypes.string_at(0)
        if device == "wrong-shape":
            outputs["masks"] = outputs["masks"][:, :2]
        if device == "wrong-type":
            outputs["logits"] = outputs["logits"].astype(np.float64)
        if device == "missing-output":
            del outputs["heatmaps"]
        if device == "nan":
            outputs["logits"][0, 3] = np.nan
        if device == "wrong-answer":
            outputs["logits"] = outputs["logits"] + np.float32(0.5)
        if device == "raise":
            raise RuntimeError("the vendor's runtime\nis not happy, and quotes /a/path")
        if device == "slow":
            time.sleep(0.05)
        return outputs

    def close(self) -> None:
        self._session = None
