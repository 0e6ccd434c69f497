"""Published weights in their exact layout, with random values, against a reference written with torch's functions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner
from torch import Tensor
from torch.nn import functional as fn

from cxredge.result import LABELS
from export import metadata
from export.commands.weights import import_weights as command
from export.errors import ExportError, Problem
from export.imported import LAYOUTS, import_weights
from export.subject import from_checkpoint
from export.thresholds import thresholds_of
from tests.support.narrow import images
from training.checkpoint import assert_unseen, load, patient_tag, save
from training.errors import WeightsError
from training.methods import build

MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
BLOCKS, GROWTH, STEM = (6, 12, 24, 16), 32, 64
NAMES = LAYOUTS["torchxrayvision"].labels


def norm(state: dict[str, Tensor], name: str, channels: int) -> None:
    state[f"{name}.weight"] = torch.rand(channels) * 0.5 + 0.75
    state[f"{name}.bias"] = torch.randn(channels) * 0.1
    state[f"{name}.running_mean"] = torch.randn(channels) * 0.1
    state[f"{name}.running_var"] = torch.rand(channels) + 0.5
    state[f"{name}.num_batches_tracked"] = torch.tensor(7)


def conv(outputs: int, inputs: int, size: int) -> Tensor:
    return torch.randn(outputs, inputs, size, size) * (2 / (inputs * size * size)) ** 0.5


def densenet(channels: int, outputs: int, head: str, old: bool = False) -> dict[str, Tensor]:
    """A DenseNet-121's state dict as torchvision and torchxrayvision name it."""
    torch.manual_seed(5)
    dot = "." if old else ""
    state: dict[str, Tensor] = {"features.conv0.weight": conv(STEM, channels, 7)}
    norm(state, "features.norm0", STEM)
    count = STEM
    for block, layers in enumerate(BLOCKS, 1):
        for layer in range(1, layers + 1):
            base = f"features.denseblock{block}.denselayer{layer}"
            norm(state, f"{base}.norm{dot}1", count)
            state[f"{base}.conv{dot}1.weight"] = conv(4 * GROWTH, count, 1)
            norm(state, f"{base}.norm{dot}2", 4 * GROWTH)
            state[f"{base}.conv{dot}2.weight"] = conv(GROWTH, 4 * GROWTH, 3)
            count += GROWTH
        if block < len(BLOCKS):
            norm(state, f"features.transition{block}.norm", count)
            state[f"features.transition{block}.conv.weight"] = conv(count // 2, count, 1)
            count //= 2
    norm(state, "features.norm5", count)
    state[f"{head}.weight"], state[f"{head}.bias"] = torch.randn(outputs, count) * 0.1, torch.randn(outputs)
    return state


def reference(state: dict[str, Tensor], x: Tensor, head: str) -> Tensor:
    """The classifier as their makers run it, straight from the state dict."""

    def bn(x: Tensor, name: str) -> Tensor:
        keys = ("running_mean", "running_var", "weight", "bias")
        return fn.batch_norm(x, *(state[f"{name}.{key}"] for key in keys))

    x = fn.conv2d(x, state["features.conv0.weight"], stride=2, padding=3)
    x = fn.max_pool2d(fn.relu(bn(x, "features.norm0")), 3, stride=2, padding=1)
    for block, layers in enumerate(BLOCKS, 1):
        for layer in range(1, layers + 1):
            base = f"features.denseblock{block}.denselayer{layer}"
            y = fn.conv2d(fn.relu(bn(x, f"{base}.norm1")), state[f"{base}.conv1.weight"])
            y = fn.conv2d(fn.relu(bn(y, f"{base}.norm2")), state[f"{base}.conv2.weight"], padding=1)
            x = torch.cat([x, y], 1)
        if block < len(BLOCKS):
            base = f"features.transition{block}"
            x = fn.avg_pool2d(fn.conv2d(fn.relu(bn(x, f"{base}.norm")), state[f"{base}.conv.weight"]), 2)
    x = fn.relu(bn(x, "features.norm5")).mean((2, 3))
    return fn.linear(x, state[f"{head}.weight"], state[f"{head}.bias"])


def test_chexnet(tmp_path: Path) -> None:
    """As DataParallel saved it years ago: "module.densenet121.", "norm.1", a sequence for the classifier."""
    new = densenet(3, 14, "classifier.0")
    old = densenet(3, 14, "classifier.0", old=True)
    path = tmp_path / "model.pth.tar"
    torch.save({"epoch": 4, "state_dict": {f"module.densenet121.{key}": value for key, value in old.items()}}, path)
    found = import_weights(path, "chexnet", tmp_path / "chexnet.pt")
    assert found.labels == {label: index for index, label in enumerate(LABELS)} and not found.unused
    method, facts = load(found.checkpoint)
    image = images(2, 256)
    view = image[:, :, 16:240, 16:240]
    normal = (view - torch.tensor(MEAN)[:, None, None]) / torch.tensor(DEVIATION)[:, None, None]
    with torch.no_grad():
        ours = method(image)
        theirs = reference(new, normal.float(), "classifier.0")
    torch.testing.assert_close(ours.logits, theirs, atol=1e-4, rtol=1e-4)
    assert ours.logits.std(0).min() > 1e-4
    assert ours.masks.max() < 1e-6 and "masks are empty" in " ".join(facts.departures)


def xrv(tmp_path: Path, **changes: Any) -> Path:
    state = densenet(1, 18, "classifier") | {"op_threshs": torch.linspace(0.02, 0.2, 18)}
    state |= {name: value for name, value in changes.items() if value is not None}
    path = tmp_path / "xrv.pt"
    torch.save({name: value for name, value in state.items() if name not in changes or changes[name] is not None}, path)
    return path


def test_torchxrayvision(tmp_path: Path) -> None:
    """One channel, -1024..1024, no crop; eighteen outputs in another order, four of them not ours."""
    found = import_weights(xrv(tmp_path), "torchxrayvision", tmp_path / "xrv-checkpoint.pt")
    assert found.labels["Effusion"] == 7 and found.labels["Hernia"] == 13 and len(found.labels) == 14
    assert found.unused == ("Lung Lesion", "Fracture", "Lung Opacity", "Enlarged Cardiomediastinum")
    subject = from_checkpoint(found.checkpoint)
    image = images(2, 224)
    with torch.no_grad():
        ours = subject.method(image).logits
        theirs = reference(densenet(1, 18, "classifier"), (2 * image - 1) * 1024, "classifier")
    wanted = theirs[:, [NAMES.index(label) for label in LABELS]]
    assert (ours - wanted).abs().max() <= 2e-5 * wanted.abs().max()
    _, published = thresholds_of(None, subject.facts)
    p = torch.linspace(0.02, 0.2, 18)[7]
    assert published.name == "published"
    assert published.logits[LABELS.index("Effusion")] == pytest.approx(torch.logit(p).item(), abs=1e-5)


def test_nobody_can_take_the_patients_for_known(tmp_path: Path) -> None:
    found = import_weights(xrv(tmp_path), "torchxrayvision", tmp_path / "c.pt")
    subject = from_checkpoint(found.checkpoint)
    facts = subject.facts
    assert facts is not None and facts.split.name == "unknown (imported weights)" and not facts.split.official
    assert any("which patients trained them is not known" in line for line in facts.departures)
    assert metadata.patients(facts) == "unknown"
    assert_unseen(facts, [patient_tag("x:1")], "test")  # it cannot refuse; the departures stand in every report


def test_a_u_net_comes_along_with_its_patients(tmp_path: Path) -> None:
    donor = build("dcnn", {"width": 0.125, "blocks": (1, 1, 1, 1), "unet_width": 64})
    unknown = import_weights(xrv(tmp_path), "torchxrayvision", tmp_path / "first.pt")
    _, facts = load(unknown.checkpoint)
    import msgspec

    config = msgspec.to_builtins(donor.options)
    facts = msgspec.structs.replace(facts, method="dcnn", config=config, trained_on=(patient_tag("jsrt:3"),))
    save(tmp_path / "donor.pt", donor.state_dict(), facts)
    found = import_weights(xrv(tmp_path), "torchxrayvision", tmp_path / "c.pt", unet=tmp_path / "donor.pt")
    method, told = load(found.checkpoint)
    torch.testing.assert_close(method.unet.head.weight, donor.unet.head.weight)
    assert told.trained_on == (patient_tag("jsrt:3"),)
    assert "trained on a grid of 128 and run on one of 112" in " ".join(told.departures)


@pytest.mark.parametrize(
    ("changes", "labels", "problem", "said"),
    [
        ({"op_threshs": torch.tensor([float("nan")] * 3 + [0.1] * 15)}, None, Problem.LABELS, "Infiltration"),
        ({}, ["Nodule", *NAMES[1:11], "Other", *NAMES[12:]], Problem.LABELS, "does not know Atelectasis"),
        ({}, NAMES[:14], Problem.LABELS, "18 outputs, 14 names"),
        ({"classifier.bias": None}, None, Problem.WEIGHTS, "no classifier"),
        ({"features.norm5.weight": None}, None, Problem.WEIGHTS, "1 missing"),
        ({"features.conv0.weight": torch.zeros(64, 3, 7, 7)}, None, Problem.WEIGHTS, "1 adapted"),
        ({"features.extra.weight": torch.zeros(3)}, None, Problem.WEIGHTS, "features.extra"),
    ],
)
def test_what_is_refused(tmp_path: Path, changes: dict[str, Any], labels: Any, problem: Problem, said: str) -> None:
    with pytest.raises(ExportError, match=said) as caught:
        import_weights(xrv(tmp_path, **changes), "torchxrayvision", tmp_path / "c.pt", labels=labels)
    assert caught.value.problem is problem and not (tmp_path / "c.pt").exists()


class Pickled:
    """What a published file may hold in place of a state dict: an object of a class of its own."""


def test_a_pickled_module_is_not_opened(tmp_path: Path) -> None:
    path = tmp_path / "module.pt"
    torch.save(Pickled(), path)
    with pytest.raises(WeightsError, match="without running code"):
        import_weights(path, "torchxrayvision", tmp_path / "c.pt")
    assert not (tmp_path / "c.pt").exists()


def test_command(tmp_path: Path) -> None:
    weights, out = str(xrv(tmp_path)), str(tmp_path / "c.pt")
    done = CliRunner().invoke(command, [weights, "--layout", "torchxrayvision", "--out", out])
    assert done.exit_code == 2 and "--no-unet" in done.output
    (tmp_path / "names.txt").write_text("\n".join(NAMES), encoding="utf-8")
    words = ["--no-unet", "--labels", str(tmp_path / "names.txt")]
    done = CliRunner().invoke(command, [weights, "--layout", "torchxrayvision", "--out", out, *words])
    assert done.exit_code == 0, done.output
    assert "Effusion" in done.output and "not known" in done.output and "Lung Lesion" in done.output
