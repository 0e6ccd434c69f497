"""The whole way from a graph and cases to an INT8 graph with its gate report, or to a refusal with one."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from calibration.cases import Table
from calibration.errors import CalibrationError, Problem
from calibration.fallback import MOST, Attempts, Found, Verdict, search
from calibration.gate import Thresholds
from calibration.input_gate import HALF
from calibration.judge import ROUNDS, Judge
from calibration.layers import Layer, layers_of, units_of, with_float
from calibration.planes import Planes, discard, geometry_of, prepare
from calibration.quantise import exposures, quantise
from calibration.reports import quantise_report, write_gate
from calibration.running import ENGINES
from calibration.sampling import stratified
from calibration.seen import chosen_by, list_sha256, refuse_seen, seen_by, write_seen
from calibration.sensitivity import IMAGES, Damage, measure
from calibration.variant import variant
from cxredge.files import write_atomically
from export.graphfile import GraphFile
from export.metadata import tags_sha256

__all__ = ["Wishes", "make_int8"]

SCHEMA = "cxredge.quantisation/1"
POOL = 4
"""Images that are looked at for each that calibrates: exposure is known only once an image was read."""


@dataclass(frozen=True, slots=True)
class Wishes:
    """How to quantise.

    Attributes:
        images: that calibrate.
        full_range: of weights; see `calibration.quantise`.
        unsigned: activations; see there.
        engines: that must pass.
        thresholds: where flips are counted; None chooses them on the judging cases.
        gate_limits: probabilities from which the input gate refuses.
        most_float: share of the layers that may stay float.
        rounds: of the latency measurement.
        resamples: of the bootstrap.
        seed: of the draw of images.
        limit_seconds: of one compilation.
        say: told what takes long.
    """

    images: int = 300
    full_range: bool = False
    unsigned: bool = False
    engines: tuple[str, ...] = ENGINES
    thresholds: Thresholds | None = None
    gate_limits: tuple[float, ...] = HALF
    most_float: float = MOST
    rounds: int = ROUNDS
    resamples: int = 1000
    seed: int = 0
    limit_seconds: float = 300.0
    say: Callable[[str], None] = lambda _: None


def make_int8(fp32: GraphFile, data: Table, judged: Table | None, out: Path, wishes: Wishes) -> dict[str, Any]:
    """Quantise, measure each layer, and fall back until the gate passes.

    Files of the folder `out`: `int8.onnx`, `int8.patients.json`, `gate.json`, `gate.md` and `gate.png` where it passes;
    `failed.gate.*` where not; `quantisation.json` and `quantisation.md` (calibration images by hash, damage of each
    layer) in both cases.

    Args:
        fp32: the graph.
        data: cases to calibrate with.
        judged: cases of other patients, for the gate; None takes those patients of `data` whose images do not
            calibrate.
        out: the folder.
        wishes: how.

    Raises:
        CalibrationError: LEAK, QUANTISE; GATE where no variant passes.
    """
    if fp32.precision != "fp32":
        raise CalibrationError(Problem.QUANTISE, f"{fp32.path} is {fp32.precision} already")
    refuse_seen(fp32, (judged or data).tags, chosen_too=True)
    work = out / "work"
    chosen, cases = _divide(fp32, data, judged, work, wishes)
    judge = Judge(
        fp32,
        cases,
        wishes.engines,
        wishes.thresholds,
        wishes.gate_limits,
        resamples=wishes.resamples,
        limit_seconds=wishes.limit_seconds,
        say=wishes.say,
    )
    report = _Making(fp32, chosen, judge, out, wishes).run()
    discard(work / "calibrate")
    discard(work / "judge")
    if not report["passed"]:
        raise CalibrationError(Problem.GATE, f"no variant passes: {report['reasons'][0]}; see {out / 'failed.gate.md'}")
    return report


def _divide(fp32: GraphFile, data: Table, judged: Table | None, work: Path, wishes: Wishes) -> tuple[Planes, Planes]:
    """The images that calibrate, and the cases that judge; never of one patient."""
    geometry = geometry_of(fp32)
    # Before an image is read, nothing is known of its exposure: the pool is drawn by disease alone.
    most = POOL * wishes.images if judged is not None else min(POOL * wishes.images, len(data) // 2)
    pool = stratified(data.truth, np.zeros(len(data)), most, wishes.seed)
    wishes.say(f"reading {len(pool)} images to choose {min(wishes.images, len(pool))} from")
    read = prepare(data.only(pool), geometry, work / "calibrate")
    kept = stratified(read.table.truth, exposures(read), wishes.images, wishes.seed)
    chosen = Planes(
        read.table.only(kept), tuple(read.hashes[i] for i in kept), read.planes[kept], read.refused, geometry
    )
    calibrating = set(chosen.table.tags)
    rest = judged if judged is not None else data
    unseen = [i for i, tag in enumerate(rest.tags) if tag not in calibrating]
    if judged is not None and len(unseen) < len(rest):
        raise CalibrationError(
            Problem.LEAK, f"{len(rest) - len(unseen)} of the {len(rest)} judging images are of patients who calibrate"
        )
    if not unseen:
        raise CalibrationError(Problem.CASES, "no case is left to judge: give more cases, or others with --judge")
    wishes.say(f"reading {len(unseen)} images that judge")
    return chosen, prepare(rest.only(unseen), geometry, work / "judge")


MARGIN = 0.8
"""While layers are chosen, only this share of what the gate allows counts: what passes by a hair on the cases that
chose is as likely as not to fail on others."""
FORMAT = 3
"""Of what is remembered of an attempt: an older memory is not gone on with."""


class _Making:
    """One quantised model and the variants made of it."""

    def __init__(self, fp32: GraphFile, chosen: Planes, judge: Judge, out: Path, wishes: Wishes) -> None:
        self.fp32, self.chosen, self.judge, self.out, self.wishes = fp32, chosen, judge, out, wishes
        self.facts = {
            "calibrated_on": {"images": len(chosen), "images_sha256": list_sha256(chosen.hashes)},
            "range": "full" if wishes.full_range else "half",
            "activations": "unsigned where never negative" if wishes.unsigned else "signed",
        }
        key = [fp32.sha256, self.facts, list_sha256(judge.planes.hashes), list(wishes.engines), _plain(wishes), FORMAT]
        self.attempts = Attempts(out / "work" / "attempts.json", key)

    def run(self) -> dict[str, Any]:
        """The report of quantisation, everything written."""
        self.wishes.say(f"quantising on {len(self.chosen)} images")
        model = self._quantised()
        layers = units_of(layers_of(model, self.fp32.model))
        damages = self._damages(model, layers)
        found = search(damages, lambda names: self._verdict(model, names), self.wishes.most_float)
        final = self._variant(model, found.names)
        gate = self.judge.judge(final, rounds=self.wishes.rounds)
        return self._write(final, gate, damages, found)

    def _quantised(self) -> onnx.ModelProto:
        """From an earlier run where there is one: the attempts' key says that it is the same."""
        path = self.out / "work" / "all.onnx"

        def make() -> dict[str, Any]:
            wishes = self.wishes
            model = quantise(
                self.fp32.model,
                self.chosen,
                range(len(self.chosen)),
                full_range=wishes.full_range,
                unsigned=wishes.unsigned,
            )
            write_atomically(path, model.SerializeToString())
            return {"made": True}

        self.attempts.once("quantised", make)
        return onnx.load(path)

    def _damages(self, model: onnx.ModelProto, layers: list[Layer]) -> list[Damage]:
        self.wishes.say(f"measuring {len(layers)} layers")
        few = range(0, len(self.chosen), max(1, len(self.chosen) // IMAGES))[:IMAGES]

        def make() -> dict[str, Any]:
            found = measure(model, self.fp32.model, layers, self.chosen, few)
            return {damage.layer.name: damage.decibels for damage in found}

        told = self.attempts.once("sensitivity", make)
        return [Damage(layer, told[layer.name]) for layer in layers]

    def _variant(self, model: onnx.ModelProto, names: tuple[str, ...]) -> GraphFile:
        facts = self.facts | {"float_layers": sorted(names)}
        mine = sorted(seen_by(self.fp32) | set(self.chosen.table.tags))
        made = with_float(model, self.fp32.model, names)
        return variant(made, self.fp32, self.out / "int8.onnx", facts | {"seen_sha256": tags_sha256(mine)})

    def _verdict(self, model: onnx.ModelProto, names: tuple[str, ...]) -> Verdict:
        def make() -> dict[str, Any]:
            self.wishes.say(f"the gate with {len(names)} layers in float")
            bounds = self.judge.bounds.narrowed(MARGIN)
            report = self.judge.judge(self._variant(model, names), rounds=0, intervals=False, bounds=bounds)
            reasons = [f"{row['engine']}: {reason}" for row in report["engines"] for reason in row["reasons"]]
            return {
                "reasons": reasons,
                "outputs": [name for row in report["engines"] for name in row["outputs_at_fault"]],
            }

        told = self.attempts.once(json.dumps(names), make)
        return Verdict(tuple(told["reasons"]), tuple(told["outputs"]))

    def _write(self, final: GraphFile, gate: dict[str, Any], damages: list[Damage], found: Found) -> dict[str, Any]:
        passed = bool(gate["passed"])
        if passed:
            write_seen(final.path, seen_by(self.fp32), self.chosen.table.tags, chosen_by(self.fp32))
            write_atomically(final.path, final.data)
        write_gate(gate, self.out / ("gate" if passed else "failed.gate"))
        report = {
            "schema": SCHEMA,
            "method": self.fp32.metadata.get("method"),
            "fp32_sha256": self.fp32.sha256,
            "int8_sha256": final.sha256 if passed else None,
            **self.facts,
            "images": sorted(self.chosen.hashes),
            "layers": [
                {**dataclasses.asdict(d.layer), "decibels": d.decibels, "float": set(d.layer.names) <= set(found.names)}
                for d in damages
            ],
            "attempts": list(found.tried),
            "passed": passed,
            "reasons": [f"{row['engine']}: {reason}" for row in gate["engines"] for reason in row["reasons"]],
        }
        write_atomically(self.out / "quantisation.json", (json.dumps(report, indent=1) + "\n").encode())
        write_atomically(self.out / "quantisation.md", quantise_report(report).encode())
        return report | {"gate": gate}


def _plain(wishes: Wishes) -> list[Any]:
    points = None if wishes.thresholds is None else {name: list(values) for name, values in wishes.thresholds.items()}
    return [wishes.seed, wishes.resamples, points, list(wishes.gate_limits)]
