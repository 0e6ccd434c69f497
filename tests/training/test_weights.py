"""Published weights: prefixes, old names, containers, channel counts, and refusals."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from cxredge.errors import Code
from training.backbones import build_backbone
from training.errors import WeightsError
from training.weights import load_weights

SMALL: dict[str, Any] = {"width": 0.125, "blocks": (1, 1, 1, 1)}


@pytest.fixture
def source() -> nn.Module:
    torch.manual_seed(3)
    return build_backbone("densenet121", **SMALL)


@pytest.fixture
def target() -> nn.Module:
    torch.manual_seed(4)
    return build_backbone("densenet121", **SMALL)


def saved(path: Path, value: object) -> Path:
    torch.save(value, path)
    return path


def same(a: nn.Module, b: nn.Module) -> bool:
    return all(torch.equal(x, b.state_dict()[name]) for name, x in a.state_dict().items())


def renamed(state: dict[str, Tensor], old: str, new: str) -> dict[str, Tensor]:
    return {name.replace(old, new): value for name, value in state.items()}


def test_safetensors_and_pickle_load_alike(source: nn.Module, target: nn.Module, tmp_path: Path) -> None:
    save_file(source.state_dict(), tmp_path / "w.safetensors")
    report = load_weights(target, tmp_path / "w.safetensors")
    assert same(source, target)
    assert not (report.missing or report.unexpected or report.mismatched or report.stripped)
    torch.manual_seed(5)
    other = build_backbone("densenet121", **SMALL)
    assert load_weights(other, saved(tmp_path / "w.pth", source.state_dict())) == report
    assert same(source, other)


@pytest.mark.parametrize("prefix", ["module.", "model.", "module.model.", "module.densenet121.", "_orig_mod.backbone."])
def test_prefixes_come_off(source: nn.Module, target: nn.Module, tmp_path: Path, prefix: str) -> None:
    """DataParallel's prefix once loaded nothing, silently, in many a project."""
    state = {prefix + name: value for name, value in source.state_dict().items()}
    state[prefix + "classifier.weight"] = torch.zeros(14, 8)
    report = load_weights(target, saved(tmp_path / "w.pth", {"state_dict": state, "epoch": 3}))
    assert same(source, target)
    assert report.unexpected == (prefix + "classifier.weight",)
    assert "".join(report.stripped) and set(report.stripped) == {part + "." for part in prefix.split(".")[:-1]}
    assert "prefixes taken off" in report.summary


def test_old_densenet_names(source: nn.Module, target: nn.Module, tmp_path: Path) -> None:
    state = {name: value for name, value in source.state_dict().items() if "num_batches" not in name}
    for kind in ("norm", "conv"):
        for index in "12":
            state = {
                name.replace(f".{kind}{index}.", f".{kind}.{index}.") if "denselayer" in name else name: value
                for name, value in state.items()
            }
    assert "features.denseblock1.denselayer1.norm.1.weight" in state
    report = load_weights(target, saved(tmp_path / "w.pth", state))
    assert same(source, target) and not report.unexpected


def test_wrong_file_is_refused_and_changes_nothing(target: nn.Module, tmp_path: Path) -> None:
    before = {name: value.clone() for name, value in target.state_dict().items()}
    other = saved(tmp_path / "resnet.pth", build_backbone("resnet50", **SMALL).state_dict())
    with pytest.raises(WeightsError, match=r"not of this network of .* 0 tensors matched") as caught:
        load_weights(target, other)
    assert caught.value.code is Code.BAD_ARGUMENT
    assert all(torch.equal(value, before[name]) for name, value in target.state_dict().items())


def test_resnet_is_not_res2net(tmp_path: Path) -> None:
    """They share many names: shapes tell them apart."""
    file = saved(tmp_path / "resnet.pth", build_backbone("resnet50", width=0.25).state_dict())
    with pytest.raises(WeightsError, match="mismatched"):
        load_weights(build_backbone("res2net50_26w_4s", width=0.25), file)


def test_another_width_is_told(source: nn.Module, tmp_path: Path) -> None:
    file = saved(tmp_path / "w.pth", source.state_dict())
    with pytest.raises(WeightsError, match=r"features\.conv0\.weight: \(8, 3, 7, 7\), \(16, 3, 7, 7\)"):
        load_weights(build_backbone("densenet121", width=0.25, blocks=(1, 1, 1, 1)), file)


def test_half_a_file_is_not_most(source: nn.Module, target: nn.Module, tmp_path: Path) -> None:
    state = {name: value for name, value in source.state_dict().items() if not name.endswith("num_batches_tracked")}
    names = list(state)
    half, most = names[: len(names) // 2], names[: len(names) // 2 + 1]
    with pytest.raises(WeightsError):
        load_weights(target, saved(tmp_path / "half.pth", {name: state[name] for name in half}))
    report = load_weights(target, saved(tmp_path / "most.pth", {name: state[name] for name in most}))
    assert set(report.missing) == set(names) - set(most)


@pytest.mark.parametrize(("given", "wanted"), [(3, 1), (1, 3)])
def test_grey_response_survives_the_channel_count(given: int, wanted: int, tmp_path: Path) -> None:
    torch.manual_seed(6)
    source = build_backbone("resnet50", channels=given, **SMALL).eval()
    target = build_backbone("resnet50", channels=wanted, **SMALL).eval()
    report = load_weights(target, saved(tmp_path / "w.pth", source.state_dict()))
    assert report.adapted == ("conv1.weight",)
    grey = torch.rand(1, 1, 64, 64)
    torch.testing.assert_close(
        target(grey.expand(-1, wanted, -1, -1)), source(grey.expand(-1, given, -1, -1)), rtol=1e-4, atol=1e-5
    )


def test_two_names_for_one_tensor(source: nn.Module, target: nn.Module, tmp_path: Path) -> None:
    state = dict(source.state_dict())
    state["module.features.norm5.bias"] = state["features.norm5.bias"] + 1
    with pytest.raises(WeightsError, match=r"two tensors of the file mean features\.norm5\.bias"):
        load_weights(target, saved(tmp_path / "w.pth", state))


def test_files_that_are_no_state_dict(source: nn.Module, target: nn.Module, tmp_path: Path) -> None:
    with pytest.raises(WeightsError) as caught:
        load_weights(target, tmp_path / "absent.pth")
    assert caught.value.code is Code.FILE_NOT_FOUND
    for name in ("noise.pth", "noise.safetensors", "empty.pth"):
        (tmp_path / name).write_bytes(b"" if name.startswith("empty") else b"not weights at all" * 9)
        with pytest.raises(WeightsError, match="not a state dict"):
            load_weights(target, tmp_path / name)
    with pytest.raises(WeightsError, match="without running code"):
        load_weights(target, saved(tmp_path / "pickled.pth", source))
    with pytest.raises(WeightsError, match="no tensors"):
        load_weights(target, saved(tmp_path / "numbers.pth", {"epoch": 1}))
