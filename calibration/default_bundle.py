"""The bundle that comes with cxredge, from data to seal: the workbench's own commands, one after another.

Each step leaves a file and is skipped where that file is; a run that was stopped goes on. Nothing here knows
how a step works: whoever wants another bundle runs the same commands with another recipe.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from calibration.errors import CalibrationError, Problem
from calibration.running import with_bfloat16

__all__ = ["INTENDED_USE", "Step", "make_bundle", "steps"]

RECIPE, FURTHER = "default", (1,)
"""The network's recipe, and the seeds of the committee's members beside the recipe's own."""

NAME, VERSION = "cxredge-demo", "3.2"

INTENDED_USE = (
    "A demonstration of cxredge on frontal chest radiographs of adults. It was trained on 784 images of one hospital, "
    "whose labels were read off reports by a program, and it misses and invents findings. It shows what a trained "
    "bundle does. Not for diagnosis, not for any decision about a patient."
)

NOTES = Path(__file__).with_name("default_bundle.md")
"""What the model card ends with: known failures, attribution, how to make a better one."""


@dataclass(frozen=True, slots=True)
class Step:
    """A command of the workbench.

    Attributes:
        name: for people.
        command: a module of the workbench and its arguments.
        product: what it leaves when it is done.
        refusal: what it leaves where its answer is no (a gate that refuses); None where failing is a breakdown.
    """

    name: str
    command: tuple[str, ...]
    product: Path
    refusal: Path | None = None


def steps(data: Path, out: Path) -> list[Step]:
    """All steps up to the graphs that a bundle is sealed of.

    Args:
        data: the folder that holds nih/ and lungs/.
        out: where everything is made.
    """
    first, run, graph, int8 = out / "member-0" / "best.pt", out / "committee.pt", out / "chest.onnx", out / "int8"
    nih, others = str(data / "nih"), data / "dicom" / "other"
    gate = out / "gate" / "input_gate.json"
    further = {seed: out / f"member-{seed}" / "best.pt" for seed in FURTHER}
    fit = ("training", "fit", RECIPE, "--data", str(data), "--resume")
    join = ("training", "join", str(first), *map(str, further.values()), "--mirrored", "--out", str(run))
    return [
        Step("member 0, with U-Net and gate", (*fit, "--out", str(first.parent)), first),
        *(
            Step(
                f"member {seed}",
                (*fit, "--seed", str(seed), "--unet", str(first), "--out", str(path.parent)),
                path,
            )
            for seed, path in further.items()
        ),
        Step("committee", join, run),
        Step(
            "findings on unseen patients",
            ("training", "evaluate", str(run), "--data", str(data), "--out", str(out / "nih")),
            out / "nih" / "report.json",
        ),
        Step(
            "lungs of another hospital",
            ("training", "evaluate", str(run), "--kind", "shenzhen", "--split", "test", "--data",
             str(data / "lungs" / "shenzhen"), "--out", str(out / "shenzhen")),
            out / "shenzhen" / "report.json",
        ),
        Step(
            "findings and boxes on drawn chests",
            ("training", "evaluate", str(run), "--kind", "phantoms", "--out", str(out / "drawn")),
            out / "drawn" / "report.json",
        ),
        Step(
            "the gate",
            ("training", "gate", str(run), "--data", str(data), "--out", str(out / "gate"),
             *(("--files", str(others)) if others.is_dir() else ())),
            gate,
        ),
        Step("export", ("export", "onnx", str(run), "--out", str(graph)), graph),
        *(
            Step(
                f"cases: {fold}",
                ("training", "data", "nih", nih, "--fold", fold, "--write-cases", str(out / f"{fold}.csv")),
                out / f"{fold}.csv",
            )
            for fold in ("train", "val", "test")
        ),
        Step(
            "INT8",
            ("calibration", "quantize", str(graph), "--data", str(out / "train.csv"), "--judge",
             str(out / "val.csv"), "--out", str(int8)),
            int8 / "int8.onnx",
            refusal=int8 / "failed.gate.json",
        ),
        *_bfloat16(graph, gate, out),
    ]  # fmt: skip


def _bfloat16(graph: Path, input_gate: Path, out: Path) -> list[Step]:
    """The float graph judged in bfloat16, where this processor computes that."""
    report = _bf16_gate(out)
    command = ("calibration", "gate", str(graph), "--bf16", "--data", str(out / "val.csv"),
               "--input-gate", str(input_gate), "--out", str(report.with_suffix("")))  # fmt: skip
    # The report is there in either case, and says which it is.
    return [Step("bfloat16", command, report, refusal=report)] if with_bfloat16() else []


def _bf16_gate(out: Path) -> Path:
    return out / "bf16" / "gate.json"


def _bf16_passed(out: Path) -> bool:
    """Whether it was judged, and passed."""
    report = _bf16_gate(out)
    return report.exists() and json.loads(report.read_text(encoding="utf-8")).get("passed") is True


def closing(out: Path, bundle: Path) -> list[Step]:
    """Each graph's own thresholds, and the seal: INT8 and bfloat16 are left out where they did not pass their gate."""
    graphs = {"fp32": out / "chest.onnx"}
    int8: tuple[str, ...] = ()
    if (out / "int8" / "int8.onnx").exists():
        graphs["int8"] = out / "int8" / "int8.onnx"
        int8 = ("--int8", str(graphs["int8"]), "--gate", str(out / "int8" / "gate.json"))
    bf16 = ("--bf16-gate", str(_bf16_gate(out))) if _bf16_passed(out) else ()
    made = [step for kind, graph in graphs.items() for step in _thresholds(kind, graph, out)]
    chosen = [f"--thresholds={kind}={out / f'thresholds-{kind}' / 'thresholds.json'}" for kind in graphs]
    seal = Step(
        "seal",
        ("calibration", "seal", "--fp32", str(graphs["fp32"]), *int8, *bf16, *chosen, "--input-gate",
         str(out / "gate" / "input_gate.json"), "--name", NAME, "--version", VERSION, "--intended-use",
         f"@{out / 'intended_use.txt'}", "--notes", str(out / "notes.md"), "--allow-unsupported",
         "--out", str(bundle)),
        bundle,
    )  # fmt: skip
    return [*made, seal]


def _thresholds(kind: str, graph: Path, out: Path) -> list[Step]:
    """Chosen on the validation fold, which taught the graph nothing; that it chose the epoch is told."""
    scores, chosen = out / f"{kind}.npz", out / f"thresholds-{kind}"
    score = (
        "calibration",
        "score",
        str(graph),
        "--data",
        str(out / "val.csv"),
        "--out",
        str(scores),
        "--validation-too",
    )
    choose = ("calibration", "thresholds", str(scores), "--out", str(chosen))
    return [Step(f"scores of {kind}", score, scores), Step(f"thresholds of {kind}", choose, chosen / "thresholds.json")]


def make_bundle(data: Path, out: Path, say: Callable[[str], None]) -> Path:
    """Run every step that is left; gives the sealed bundle.

    Raises:
        CalibrationError: a step failed: its own message says why, and what was made before it stays.
    """
    out.mkdir(parents=True, exist_ok=True)
    bundle = out / "default.cxr"
    for step in steps(data, out):
        _run(step, say)
    (out / "intended_use.txt").write_text(INTENDED_USE + "\n", encoding="utf-8")
    (out / "notes.md").write_text("\n\n".join(_notes(out)) + "\n", encoding="utf-8")
    for step in closing(out, bundle):
        _run(step, say)
    return bundle


def _notes(out: Path) -> Iterator[str]:
    """What was measured on patients that nothing was chosen on, and what a person must know of these weights."""
    yield "# On patients that nothing was chosen on"
    for name in ("nih/report.md", "shenzhen/report.md", "drawn/report.md", "gate/input_gate.md"):
        text = (out / name).read_text(encoding="utf-8")
        yield text.replace("\n## ", "\n### ").replace("# ", "## ", 1).strip()
    yield NOTES.read_text(encoding="utf-8").strip()


def _run(step: Step, say: Callable[[str], None]) -> None:
    if step.product.exists() or (step.refusal is not None and step.refusal.exists()):
        say(f"{step.name}: done before")
        return
    say(f"{step.name}: python -m {' '.join(step.command)}")
    code = _call(step.command)
    if code and (step.refusal is None or not step.refusal.exists()):
        raise CalibrationError(Problem.SEAL, f"{step.name} ended with {code}; started again, this goes on from there")
    if code:
        say(f"{step.name}: refused; the bundle goes without")


def _call(command: Sequence[str]) -> int:
    return subprocess.run([sys.executable, "-m", *command], check=False).returncode  # noqa: S603 - our own commands
