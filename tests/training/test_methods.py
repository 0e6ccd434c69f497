"""The one interface of all methods: the graph's face, export, gradients, switches, geometry."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from cxredge.errors import UsageError
from tests.support.narrow import NARROW, images, narrow
from training.losses import bce, dice
from training.methods import METHODS, build
from training.methods.se_multimap import SeMultiMap

VARIANTS: list[tuple[str, dict[str, Any]]] = [(name, {}) for name in METHODS] + [("cral", {"module": "att2"})]
IDS = [f"{name}-{''.join(options.values())}".rstrip("-") for name, options in VARIANTS]

# The parts that go when a switch is turned off; none where only the arithmetic changes.
SWITCHES: dict[tuple[str, str], tuple[str, ...]] = {
    ("cxr_irnet", "feature_weighting"): (),
    ("cxr_irnet", "attention"): ("attention.",),
    ("ag_cnn", "local_crop"): (),
    ("se_multimap", "se"): (".extra.",),
    ("se_multimap", "multi_map"): (),
    ("se_multimap", "max_min"): (),
    ("se_multimap", "ten_crops"): (),
    ("cral", "category"): (),
    ("cral", "residual"): (),
    ("cral", "attention"): ("attend.",),
    ("mlrfnet", "eca"): ("eca.",),
    ("mlrfnet", "mrfc"): ("heads.", "eca.1.", "eca.2."),
}


@pytest.mark.parametrize(("name", "options"), VARIANTS, ids=IDS)
def test_face_of_the_graph(name: str, options: dict[str, Any]) -> None:
    method = narrow(name, **options)
    image = images(3, 128)
    with torch.no_grad():
        out = method(image)
        alone = method(image[1:2])
    assert out._fields == ("logits", "masks", "heatmaps", "gate") and out.gate is None
    assert out.logits.shape == (3, 14)
    assert out.masks.shape == (3, 3, 32, 32)
    assert out.heatmaps.shape[:2] == (3, 14)
    assert out.masks.min() >= 0 and out.masks.max() <= 1
    assert out.logits.std(0).min() > 0, "all images are scored alike"
    for whole, one in zip(out[:3], alone[:3], strict=True):
        torch.testing.assert_close(whole[1:2], one, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(out.masks, method.unet(image).masks)
    covers_all = name == "se_multimap"
    assert tuple(method.heatmap_box) == ((0.0, 0.0, 1.0, 1.0) if covers_all else (0.25, 0.25, 0.75, 0.75))


@pytest.mark.parametrize(("name", "options"), VARIANTS, ids=IDS)
def test_classifiers_see_the_centre_alone(name: str, options: dict[str, Any]) -> None:
    """What lies outside the crop reaches the masks only (ten crops aside, and CXR-IRNet's weight by the U-Net)."""
    off = {"se_multimap": ("ten_crops",), "cxr_irnet": ("feature_weighting",)}.get(name, ())
    method = narrow(name, without=off, **options)
    image, other = images(1, 128), images(1, 128, seed=1)
    other[:, :, 32:96, 32:96] = image[:, :, 32:96, 32:96]
    with torch.no_grad():
        a, b = method(image), method(other)
    torch.testing.assert_close(a.logits, b.logits)
    assert not torch.allclose(a.masks, b.masks)


@pytest.mark.parametrize(("name", "options"), VARIANTS, ids=IDS)
def test_export_with_a_free_batch(name: str, options: dict[str, Any]) -> None:
    method = narrow(name, **options)
    batch = ({0: torch.export.Dim.DYNAMIC},)
    with torch.no_grad():
        graph = torch.export.export(method, (images(2, 128),), dynamic_shapes=batch).module()
        for count in (1, 5):
            image = images(count, 128, seed=count)
            for ours, theirs in zip(method(image), graph(image), strict=True):
                torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize(("name", "options"), VARIANTS, ids=IDS)
def test_gradients_reach_every_parameter(name: str, options: dict[str, Any]) -> None:
    method = narrow(name, **options).train()
    image = images(4, 128)
    logits = method.training_logits(method.view(image))
    assert logits.shape == (4, len(method.trained))
    loss = bce(logits, (torch.arange(logits.numel()) % 3 == 0).float().reshape(logits.shape))
    if name == "ag_cnn":  # each branch has a loss of its own; the fusion's reaches no other's classifier
        found = method.branches(method.view(image))
        loss = loss + found.whole.square().mean() + found.local.square().mean()
    (loss + dice(method.unet(image).masks, torch.ones(4, 3, 32, 32))).backward()
    silent = [key for key, value in method.named_parameters() if value.grad is None or not value.grad.abs().sum() > 0]
    assert not silent


@pytest.mark.parametrize(("name", "options"), VARIANTS, ids=IDS)
def test_a_few_steps_lower_the_loss(name: str, options: dict[str, Any]) -> None:
    method = narrow(name, **options).train()
    view = method.view(images(8, 128))
    targets = (torch.rand(8, len(method.trained), generator=torch.Generator().manual_seed(2)) < 0.4).float()
    optimizer = torch.optim.Adam(method.parameters(), lr=1e-2)
    losses = []
    for _ in range(25):
        loss = bce(method.training_logits(view), targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.8 * losses[0]


def test_every_switch_is_listed() -> None:
    listed = {(name, switch) for name in METHODS for switch in narrow(name).options.switches()}
    assert listed == set(SWITCHES)


@pytest.mark.parametrize(("name", "switch"), SWITCHES)
def test_switches_change_what_they_should(name: str, switch: str) -> None:
    """The parts that are switched off are gone, those that stay keep their names; the answer changes; masks do not."""
    on, off = narrow(name), narrow(name, without=(switch,))
    kept = set(off.state_dict())
    gone = {key for key in on.state_dict() if any(part in key for part in SWITCHES[name, switch])}
    assert bool(gone) == bool(SWITCHES[name, switch])
    assert set(on.state_dict()) - kept == gone
    shared = {k: v for k, v in on.state_dict().items() if k in kept and v.shape == off.state_dict()[k].shape}
    off.load_state_dict(shared, strict=False)
    image = images(2, 128, seed=3)
    with torch.no_grad():
        # A random U-Net finds organs everywhere or nowhere: made to find each in half of the picture.
        middle = on.unet(image).logits.transpose(0, 1).flatten(1).median(1).values
        for method in (on, off):
            method.unet.head.bias -= middle
        a, b = on(image), off(image)
    assert (a.logits - b.logits).abs().max() > 1e-4
    torch.testing.assert_close(a.masks, b.masks)


def test_switches_are_the_papers() -> None:
    """Those whose effect is a number: M = 1, alpha = 0, one attention map for all."""
    assert narrow("se_multimap", without=("multi_map",)).transfer.out_channels == 14
    assert narrow("se_multimap", without=("max_min",)).alpha == 0
    cral = narrow("cral", without=("category",))
    assert cral.weights(torch.rand(1, cral.backbone.channels[3], 2, 2)).shape == (1, 1, 2, 2)


def test_ten_crops_are_ten_crops() -> None:
    """Against crops cut by hand, probabilities averaged, maps laid on the grid one by one."""
    method = narrow("se_multimap")
    assert isinstance(method, SeMultiMap)
    image = images(2, 128)
    total, grid, seen = torch.zeros(2, 14), torch.zeros(2, 14, 4, 4), torch.zeros(4, 4)
    with torch.no_grad():
        for top, left in ((0, 0), (0, 64), (64, 0), (64, 64), (32, 32)):
            crop = image[:, :, top : top + 64, left : left + 64]
            for mirrored in (False, True):
                scores = method.score(torch.flip(crop, (3,)) if mirrored else crop)
                total += torch.sigmoid(scores.logits)
                maps = torch.flip(scores.maps, (3,)) if mirrored else scores.maps
                row, column = top // 32, left // 32
                grid[:, :, row : row + 2, column : column + 2] += maps
                seen[row : row + 2, column : column + 2] += 1
        out = method(image)
    torch.testing.assert_close(torch.sigmoid(out.logits), total / 10)
    assert seen.min() == 2
    torch.testing.assert_close(out.heatmaps, grid / seen)


def test_training_mode_scores_one_view() -> None:
    """Ten crops are for evaluation: in training the batch norms see each image once."""
    method = narrow("se_multimap")
    image = images(2, 128)
    with torch.no_grad():
        method.train()
        count = method.backbone.features.norm0.num_batches_tracked.item()
        assert method(image).heatmaps.shape == (2, 14, 2, 2)
        assert method.backbone.features.norm0.num_batches_tracked.item() == count + 1


def test_masks_given_or_made() -> None:
    """CXR-IRNet runs its U-Net on a view whose masks it is not given, without training it."""
    method = narrow("cxr_irnet").train()
    view = images(2, 64)
    before = {key: value.clone() for key, value in method.unet.state_dict().items()}
    scores = method.score(view)
    scores.logits.sum().backward()
    assert method.unet.training
    assert all(torch.equal(value, before[key]) for key, value in method.unet.state_dict().items())
    assert all(parameter.grad is None for parameter in method.unet.parameters())
    method.eval()
    torch.testing.assert_close(method.score(view).logits, method.score(view, method.unet(view).masks).logits)


def test_unet_keeps_left_and_right_apart() -> None:
    """Three masks of their own (not a softmax), and a code for the gate."""
    unet = narrow("chexnet").unet
    found = unet(images(2, 128))
    torch.testing.assert_close(found.masks, torch.sigmoid(found.logits))
    assert found.code.shape == (2, unet.code_channels, 8, 8)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"field": 127}, "no centre"),
        ({"field": 64, "crop": 128}, "no centre"),
        ({"mask": 48}, "share its cells"),
        ({"unet_depth": 5}, "halved 5 times"),
        ({"width": 0.0}, "width"),
        ({"blocks": (1, 1)}, "blocks"),
        ({"channels": 2}, "channels"),
        ({"backbone": "vgg16"}, "no backbone"),
        ({"depth": 3}, "unknown field"),
    ],
)
def test_options_that_cannot_be(options: dict[str, Any], reason: str) -> None:
    with pytest.raises(UsageError, match=reason):
        build("chexnet", NARROW | options)


def test_methods_refuse_what_does_not_fit_them() -> None:
    with pytest.raises(UsageError, match="ten crops of 96"):
        build("se_multimap", NARROW | {"crop": 96})
    with pytest.raises(UsageError, match="no transitions"):
        build("se_multimap", NARROW | {"backbone": "resnet50"})
    with pytest.raises(UsageError, match="tau"):
        build("ag_cnn", NARROW | {"tau": 1.0})
    with pytest.raises(UsageError, match="no method"):
        build("agcnn")
    with pytest.raises(UsageError, match="no switch 'eca'"):
        build("cral", NARROW, without=("eca",))


@pytest.mark.parametrize("backbone", ["densenet121", "resnet50", "res2net50_26w_4s", "plain"])
@pytest.mark.parametrize("name", ["cxr_irnet", "ag_cnn", "cral", "mlrfnet"])
def test_methods_run_on_every_backbone(name: str, backbone: str) -> None:
    with torch.no_grad():
        out = narrow(name, backbone=backbone)(images(1, 128))
    assert torch.isfinite(out.logits).all()
