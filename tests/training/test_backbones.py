"""The backbones against what is published of them: names and shapes of tensors, parameter counts, arithmetic."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import pytest
import torch

from cxredge.errors import UsageError
from training.backbones import BACKBONES, Res2Net50, build_backbone

Shapes = dict[str, tuple[int, ...]]


def norm(name: str, channels: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    for part in ("weight", "bias", "running_mean", "running_var"):
        yield f"{name}.{part}", (channels,)
    yield f"{name}.num_batches_tracked", ()


def densenet121() -> Iterator[tuple[str, tuple[int, ...]]]:
    """torchvision's densenet121 without `classifier`."""
    yield "features.conv0.weight", (64, 3, 7, 7)
    yield from norm("features.norm0", 64)
    channels = 64
    for block, layers in ((1, 6), (2, 12), (3, 24), (4, 16)):
        for layer in range(1, layers + 1):
            stem = f"features.denseblock{block}.denselayer{layer}"
            yield from norm(f"{stem}.norm1", channels)
            yield f"{stem}.conv1.weight", (128, channels, 1, 1)
            yield from norm(f"{stem}.norm2", 128)
            yield f"{stem}.conv2.weight", (32, 128, 3, 3)
            channels += 32
        if block < 4:
            yield from norm(f"features.transition{block}.norm", channels)
            yield f"features.transition{block}.conv.weight", (channels // 2, channels, 1, 1)
            channels //= 2
    yield from norm("features.norm5", 1024)


def residual(*, res2: bool) -> Iterator[tuple[str, tuple[int, ...]]]:
    """torchvision's resnet50, or timm's res2net50_26w_4s, without `fc`."""
    yield "conv1.weight", (64, 3, 7, 7)
    yield from norm("bn1", 64)
    inputs = 64
    for stage, (blocks, planes) in enumerate(((3, 64), (4, 128), (6, 256), (3, 512)), start=1):
        middle = planes // 64 * 104 if res2 else planes
        for block in range(blocks):
            stem = f"layer{stage}.{block}"
            yield f"{stem}.conv1.weight", (middle, inputs, 1, 1)
            yield from norm(f"{stem}.bn1", middle)
            if res2:
                for group in range(3):
                    yield f"{stem}.convs.{group}.weight", (middle // 4, middle // 4, 3, 3)
                    yield from norm(f"{stem}.bns.{group}", middle // 4)
            else:
                yield f"{stem}.conv2.weight", (planes, planes, 3, 3)
                yield from norm(f"{stem}.bn2", planes)
            yield f"{stem}.conv3.weight", (4 * planes, middle, 1, 1)
            yield from norm(f"{stem}.bn3", 4 * planes)
            if block == 0:
                yield f"{stem}.downsample.0.weight", (4 * planes, inputs, 1, 1)
                yield from norm(f"{stem}.downsample.1", 4 * planes)
            inputs = 4 * planes


# The counts of the published networks, less their classifiers of 1000 classes.
PUBLISHED: dict[str, tuple[Shapes, int]] = {
    "densenet121": (dict(densenet121()), 7_978_856 - 1_025_000),
    "resnet50": (dict(residual(res2=False)), 25_557_032 - 2_049_000),
    "res2net50_26w_4s": (dict(residual(res2=True)), 25_699_120 - 2_049_000),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_tensors_are_the_published_ones(name: str) -> None:
    with torch.device("meta"):
        network = build_backbone(name)
    shapes, count = PUBLISHED[name]
    assert {key: tuple(value.shape) for key, value in network.state_dict().items()} == shapes
    assert sum(parameter.numel() for parameter in network.parameters()) == count


def test_published_lists_are_spelled_out() -> None:
    """The lists above are made by loops: some names as they stand in the published files."""
    assert "features.denseblock1.denselayer1.norm1.weight" in PUBLISHED["densenet121"][0]
    assert PUBLISHED["densenet121"][0]["features.denseblock4.denselayer16.conv1.weight"] == (128, 992, 1, 1)
    assert len(PUBLISHED["densenet121"][0]) == 727 - 2
    assert PUBLISHED["resnet50"][0]["layer4.0.downsample.0.weight"] == (2048, 1024, 1, 1)
    assert len(PUBLISHED["resnet50"][0]) == 320 - 2
    assert PUBLISHED["res2net50_26w_4s"][0]["layer1.0.convs.0.weight"] == (26, 26, 3, 3)
    assert PUBLISHED["res2net50_26w_4s"][0]["layer4.2.convs.2.weight"] == (208, 208, 3, 3)


@pytest.mark.parametrize("name", BACKBONES)
@pytest.mark.parametrize("channels", [1, 3])
def test_levels(name: str, channels: int) -> None:
    network = build_backbone(name, width=0.125, blocks=(1, 1, 1, 1), channels=channels).eval()
    image = torch.randn(2, channels, 64, 64)
    levels = network.levels(image)
    assert [tuple(x.shape) for x in levels] == [
        (2, c, side, side) for c, side in zip(network.channels, (16, 8, 4, 2), strict=True)
    ]
    assert levels.u4.min() >= 0
    assert torch.equal(network(image), levels.u4)


def test_the_plain_one_is_pairs_of_convolutions_with_batch_norm_and_pooling_between() -> None:
    with torch.device("meta"):
        network = build_backbone("plain", channels=1)
    sizes = (1, 32, 32, 64, 64, 128, 128, 192, 192, 256, 256)
    expected = sum(9 * a * b + 2 * b for a, b in pairwise(sizes))
    assert network.channels == (64, 128, 192, 256)
    assert sum(parameter.numel() for parameter in network.parameters()) == expected == 1_873_824


@pytest.mark.parametrize("first", [True, False])
def test_res2_block_by_hand(first: bool) -> None:
    """y_1 = K_1(x_1), y_i = K_i(x_i + y_{i-1}), y_4 = x_4; in a stage's first block no sums, and y_4 is pooled."""
    torch.manual_seed(1)
    block = Res2Net50(width=0.5, blocks=(2, 1, 1, 1)).layer1[0 if first else 1].double().eval()
    x = torch.rand(1, 32 if first else 128, 6, 6, dtype=torch.float64)
    inside = torch.relu(block.bn1(block.conv1(x)))
    size = inside.shape[1] // 4
    parts = [inside[:, i * size : (i + 1) * size] for i in range(4)]
    y1 = torch.relu(block.bns[0](block.convs[0](parts[0])))
    y2 = torch.relu(block.bns[1](block.convs[1](parts[1] if first else parts[1] + y1)))
    y3 = torch.relu(block.bns[2](block.convs[2](parts[2] if first else parts[2] + y2)))
    y4 = parts[3]
    if first:
        padded = torch.nn.functional.pad(parts[3], (1, 1, 1, 1))
        y4 = torch.stack([padded[:, :, r : r + 6, c : c + 6] for r in range(3) for c in range(3)]).sum(0) / 9
    out = block.bn3(block.conv3(torch.cat([y1, y2, y3, y4], 1)))
    shortcut = block.downsample(x) if first else x
    torch.testing.assert_close(block(x), torch.relu(out + shortcut))


@pytest.mark.parametrize("bad", [{"width": 0.0}, {"channels": 2}, {"blocks": (1, 1, 0, 1)}])
def test_what_cannot_be_built(bad: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        build_backbone("resnet50", **bad)  # type: ignore[arg-type]


def test_unknown_backbone_and_transition() -> None:
    with pytest.raises(UsageError, match="densenet121, resnet50"):
        build_backbone("vgg16")
    with pytest.raises(UsageError, match="no transitions"):
        build_backbone("resnet50", in_transition=torch.nn.Identity)


@pytest.mark.parametrize("name", sorted(BACKBONES))
def test_with_a_stride_of_16_only_the_last_map_is_larger(name: str) -> None:
    """The weights are the same; what came before the last stage too."""
    usual = build_backbone(name, width=0.125, blocks=(1, 1, 1, 1), channels=1).eval()
    finer = build_backbone(name, width=0.125, blocks=(1, 1, 1, 1), channels=1, stride=16).eval()
    finer.load_state_dict(usual.state_dict(), strict=True)
    image = torch.rand(2, 1, 96, 64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        one, other = usual.levels(image), finer.levels(image)
    for a, b in zip(one[:3], other[:3], strict=True):
        assert torch.equal(a, b)
    assert one.u4.shape[2:] == (3, 2)
    assert other.u4.shape == (*one.u4.shape[:2], 6, 4)
    assert bool((other.u4 >= 0).all())
