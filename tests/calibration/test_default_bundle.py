"""The order of the steps, what a stopped run does again, and that every command is one that the workbench has."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import click
import pytest

from calibration import default_bundle
from calibration.default_bundle import Step, closing, make_bundle, steps
from calibration.errors import CalibrationError


@pytest.fixture(autouse=True)
def _a_processor_with_bfloat16(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(default_bundle, "with_bfloat16", lambda: ("openvino",))


GROUPS = {"training": "training.cli", "export": "export.cli", "calibration": "calibration.cli"}


def command_of(step: Step) -> tuple[click.Command, list[str]]:
    """The click command of a step, and its arguments."""
    module, name, *arguments = step.command
    group: click.Group = import_module(GROUPS[module]).group
    found = group.get_command(click.Context(group), name)
    assert found is not None, step.command
    return found, arguments


def all_steps(data: Path, out: Path) -> list[Step]:
    return [*steps(data, out), *closing(out, out / "default.cxr")]


def test_every_command_is_taken_as_it_is_given(tmp_path: Path) -> None:
    data, out = tmp_path / "data", tmp_path / "out"
    for folder in ("nih", "lungs/shenzhen", "lungs/montgomery", "dicom/other"):
        (data / folder).mkdir(parents=True)
    (out / "int8").mkdir(parents=True)
    (out / "int8" / "int8.onnx").touch()  # so that it is sealed too
    (out / "bf16").mkdir()
    (out / "bf16" / "gate.json").write_text('{"passed": true}', encoding="utf-8")
    for step in all_steps(data, out):
        for word in step.command:  # files that an earlier step leaves
            if word.startswith(str(out)) and Path(word).suffix and not Path(word).exists():
                Path(word).parent.mkdir(parents=True, exist_ok=True)
                Path(word).touch()
        command, arguments = command_of(step)
        command.make_context(step.name, arguments)


class Bench:
    """Stands in for the workbench's processes: each leaves what its step promises."""

    def __init__(self, out: Path, data: Path, refused: str = "") -> None:
        self.ran: list[str] = []
        self.out, self.data, self.refused = out, data, refused

    def __call__(self, command: tuple[str, ...]) -> int:
        step = next(step for step in all_steps(self.data, self.out) if step.command == command)
        self.ran.append(step.name)
        if step.name == self.refused:
            if step.refusal is not None:
                step.refusal.parent.mkdir(parents=True, exist_ok=True)
                step.refusal.write_text("{}", encoding="utf-8")
            return 1
        step.product.parent.mkdir(parents=True, exist_ok=True)
        step.product.write_text('{"passed": true}', encoding="utf-8")
        for report in ("report.md", "input_gate.md"):
            (step.product.parent / report).write_text("# A report\n", encoding="utf-8")
        return 0


def test_a_stopped_run_goes_on_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data, out = tmp_path / "data", tmp_path / "out"
    broken = Bench(out, data, refused="export")
    monkeypatch.setattr(default_bundle, "_call", broken)
    with pytest.raises(CalibrationError, match="export ended with 1"):
        make_bundle(data, out, lambda _line: None)
    assert broken.ran[-1] == "export"
    mended = Bench(out, data)
    monkeypatch.setattr(default_bundle, "_call", mended)
    assert make_bundle(data, out, lambda _line: None).exists()
    assert not set(mended.ran) & (set(broken.ran) - {"export"})
    assert mended.ran[0] == "export" and mended.ran[-1] == "seal" and "bfloat16" in mended.ran
    assert "--bf16-gate" in closing(out, out / "default.cxr")[-1].command


def test_without_an_int8_graph_that_passes_the_float_graph_is_sealed_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, out = tmp_path / "data", tmp_path / "out"
    bench, said = Bench(out, data, refused="INT8"), []
    monkeypatch.setattr(default_bundle, "_call", bench)
    make_bundle(data, out, said.append)
    assert "INT8: refused; the bundle goes without" in said
    again: list[str] = []
    make_bundle(data, out, again.append)  # a refusal is not asked for twice
    assert all(line.endswith("done before") for line in again)
    assert "scores of int8" not in bench.ran and "scores of fp32" in bench.ran
    seal = closing(out, out / "default.cxr")[-1]
    assert "--int8" not in seal.command


def test_bfloat16_that_did_not_pass_or_is_not_computed_here_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for out, refused in ((tmp_path / "refused", "bfloat16"), (tmp_path / "without", "")):
        if not refused:
            monkeypatch.setattr(default_bundle, "with_bfloat16", lambda: ())
        bench = Bench(out, tmp_path / "data", refused=refused)
        monkeypatch.setattr(default_bundle, "_call", bench)
        make_bundle(tmp_path / "data", out, lambda _line: None)
        assert ("bfloat16" in bench.ran) == bool(refused)
        assert "--bf16-gate" not in closing(out, out / "default.cxr")[-1].command
