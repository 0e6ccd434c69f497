"""Parameters and multiply-adds as published, and what the command prints."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from training.cli import main
from training.describe import describe, multiply_adds, parameters
from training.methods import METHODS

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def described() -> dict[str, dict[str, Any]]:
    return {name: describe(name) for name in METHODS}


def test_published_multiply_adds(described: dict[str, dict[str, Any]]) -> None:
    assert described["mlrfnet"]["gmacs"] == pytest.approx(4.29, rel=0.05)  # its table 8
    assert 2.8 <= described["chexnet"]["gmacs"] <= 2.9
    assert described["dcnn"]["gmacs"] == pytest.approx(4.09, rel=0.01)
    # A view of 448 has four times the pixels of 224; ten of them are scored.
    se = described["se_multimap"]
    assert se["gmacs"] == pytest.approx(4 * described["chexnet"]["gmacs"], rel=0.01)
    assert se["graph"]["gmacs"] == pytest.approx(10 * se["gmacs"] + se["unet"]["gmacs"], rel=1e-4)


def test_published_parameters(described: dict[str, dict[str, Any]]) -> None:
    assert described["chexnet"]["parameters"] == 6_953_856 + 14 * 1025
    assert described["dcnn"]["parameters"] == 23_508_032 + 14 * 2049
    assert described["ag_cnn"]["parameters"] == 2 * 6_953_856 + 2 * 15 * 1025 + 15 * 2049
    squeeze = sum(2 * c * (c // 16) for c in (128, 256, 512))
    assert described["se_multimap"]["parameters"] == 6_953_856 + squeeze + 168 * 1025
    heads = 14 * (512 + 1024 + 2048 + 3) + 3 * 3
    assert described["mlrfnet"]["parameters"] == 23_650_120 + heads
    attention = (3 * 3 * 25 + 3) + (3 * 3 * 81 + 3) + (6 * 49 + 1)
    assert described["cxr_irnet"]["parameters"] == 6_953_856 + attention + 14 * 1025


def test_parts_add_up(described: dict[str, dict[str, Any]]) -> None:
    for found in described.values():
        assert found["graph"]["parameters"] == found["parameters"] + found["unet"]["parameters"]
        views = 10 if found["method"] == "se_multimap" else 1
        total = views * found["gmacs"] + found["unet"]["gmacs"]
        assert found["graph"]["gmacs"] == pytest.approx(total, abs=2e-3)


def by_hand(network: nn.Module, *inputs: torch.Tensor) -> int:
    """Multiply-adds counted by hooks: outputs times what each of them sums over."""
    total = 0

    def count(module: nn.Module, _: object, output: torch.Tensor) -> None:
        nonlocal total
        if isinstance(module, nn.ConvTranspose2d):
            total += output.numel() // module.stride[0] ** 2 * module.in_channels * module.kernel_size[0] ** 2
        elif isinstance(module, nn.Conv2d):
            total += output.numel() * module.weight[0].numel()
        elif isinstance(module, nn.Linear):
            total += output.numel() * module.in_features

    handles = [module.register_forward_hook(count) for module in network.modules()]
    network(*inputs)
    for handle in handles:
        handle.remove()
    return total


def test_counting_agrees_with_hooks() -> None:
    from tests.support.narrow import images, narrow

    method = narrow("chexnet")
    image = images(1, 128)
    # The class activation maps go through no module: one product of channels x 14 x 2 x 2 cells.
    maps = method.backbone.channels[3] * 14 * 4
    assert multiply_adds(lambda: method(image)) == by_hand(method, image) + maps
    assert multiply_adds(lambda: method.unet(image)) == by_hand(method.unet, image)
    assert parameters(nn.Linear(3, 4)) == 16


def run(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as left:
        main(arguments)
    found = capsys.readouterr()
    return int(left.value.code or 0), found.out, found.err


def test_command_prints_json(capsys: pytest.CaptureFixture[str]) -> None:
    narrow = ["--width", "0.25", "--set", "blocks=[1,1,2,1]", "--field", "128", "--crop", "64", "--channels", "1"]
    more = ["--set", "mask=32", "--set", "unet_depth=2", "--set", "module=att2", "--without", "residual"]
    code, out, err = run(["describe", "cral", *narrow, *more, "--json"], capsys)
    found = json.loads(out)
    assert (code, err) == (0, "")
    assert found["input"] == {"name": "image", "shape": ["N", 1, 128, 128], "range": [0.0, 1.0]}
    assert found["outputs"] == {"logits": ["N", 14], "masks": ["N", 3, 32, 32], "heatmaps": ["N", 14, 2, 2]}
    assert found["options"]["residual"] is False and found["options"]["module"] == "att2"
    assert found["options"]["channels"] == 1 and found["options"]["width"] == 0.25


def test_command_says_what_is_wrong(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(["describe", "chexnet", "--set", "side=3"], capsys)
    assert (code, out) == (2, "") and "unknown field `side`" in err
    code, out, err = run(["describe", "nothing"], capsys)
    assert (code, out) == (2, "") and "mlrfnet" in err
    code, out, err = run(["describe", "chexnet", "--set", "width"], capsys)
    assert code == 2 and "NAME=VALUE" in err


def test_list(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(["list", "--json"], capsys)
    assert code == 0 and set(json.loads(out)) == set(METHODS)
    assert all(name in run(["list"], capsys)[1] for name in METHODS)


def test_the_documented_figures_are_these(described: dict[str, dict[str, Any]]) -> None:
    """docs/methods.md carries what `describe` prints."""
    text = (ROOT / "docs" / "methods.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \| \w+ \| ([\d.]+) \| ([\d.]+) \| ([\d.]+) \| ([\d.]+) \|", text, re.MULTILINE)
    printed = {
        name: (
            f"{found['parameters'] / 1e6:.2f}",
            f"{found['gmacs']:.3f}",
            f"{found['graph']['parameters'] / 1e6:.2f}",
            f"{found['graph']['gmacs']:.3f}",
        )
        for name, found in described.items()
    }
    assert {name: tuple(figures) for name, *figures in rows} == printed
