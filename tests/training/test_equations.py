"""The papers' equations against naive NumPy: one loop or one einsum for each."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
import torch

from tests.support.narrow import images, narrow
from training.methods.cral import attended_vectors
from training.methods.cxr_irnet import MultiScaleAttention, organ_weight
from training.methods.mlrfnet import EfficientChannelAttention, csra
from training.methods.se_multimap import SqueezeExcite, logit_of_mean, max_min_pool

Array = npt.NDArray[np.float64]


def sigmoid(x: Array) -> Array:
    return 1.0 / (1.0 + np.exp(-x))


def array(tensor: torch.Tensor) -> Array:
    return tensor.detach().numpy().astype(np.float64)


# CXR-IRNet


@pytest.mark.parametrize("shape", [(7, 7), (3, 3), (4, 5)])
def test_organ_weight_is_the_share_of_each_cell(shape: tuple[int, int]) -> None:
    """Adaptive average pooling: cell i of n over h rows averages rows floor(i h / n) to ceil((i + 1) h / n)."""
    masks = torch.rand(2, 3, 28, 28, generator=torch.Generator().manual_seed(0)) * 0.62
    union = np.zeros((2, 28, 28))
    for n, k, r, c in np.ndindex(2, 3, 28, 28):
        if masks[n, k, r, c] >= 0.5:
            union[n, r, c] = 1.0
    expected = np.zeros((2, *shape))
    for i, j in np.ndindex(shape):
        top, bottom = i * 28 // shape[0], -(-(i + 1) * 28 // shape[0])
        left, right = j * 28 // shape[1], -(-(j + 1) * 28 // shape[1])
        expected[:, i, j] = union[:, top:bottom, left:right].mean((1, 2))
    assert 0.2 < expected.mean() < 0.8
    np.testing.assert_allclose(organ_weight(masks, shape)[:, 0], expected, atol=1e-6)
    np.testing.assert_array_equal(organ_weight(masks, shape, binarize=True)[:, 0], expected >= 0.5)


def test_feature_weighting_multiplies_by_the_crop_of_the_masks() -> None:
    method = narrow("cxr_irnet")
    image = images(2, 128)
    with torch.no_grad():
        masks = method.unet(image).masks
        view = image[:, :, 32:96, 32:96]
        features = method.backbone(method.attention(method.normalise(view)))
        weight = (masks[:, :, 8:24, 8:24].amax(1) >= 0.5).float().reshape(2, 2, 8, 2, 8).mean((2, 4))
        pooled = (features * weight[:, None]).mean((2, 3))
        expected = pooled @ method.classifier.weight.T + method.classifier.bias
        torch.testing.assert_close(method(image).logits, expected)


@pytest.mark.parametrize("channels", [1, 3])
def test_multi_scale_attention(channels: int) -> None:
    torch.manual_seed(0)
    attention = MultiScaleAttention(channels).double()
    x = torch.randn(1, channels, 12, 12, dtype=torch.float64)
    six = []
    for scale in (x, attention.scale5(x), attention.scale9(x)):
        assert scale.shape == x.shape
        values = array(scale)[0]
        six += [values.max(0), values.mean(0)]
    kernel, padded = array(attention.join.weight)[0], np.pad(np.stack(six), ((0, 0), (3, 3), (3, 3)))
    joined = np.zeros((12, 12))
    for r, c in np.ndindex(12, 12):
        joined[r, c] = (padded[:, r : r + 7, c : c + 7] * kernel).sum()
    weight = sigmoid(joined + attention.join.bias.item())
    np.testing.assert_allclose(array(attention(x))[0], array(x)[0] * weight, atol=1e-12)


# SE multi-map


def test_squeeze_excite() -> None:
    torch.manual_seed(0)
    block = SqueezeExcite(32, 16)
    u = torch.randn(2, 32, 4, 4)
    z = array(u).mean((2, 3))
    w1, w2 = array(block.squeeze.weight), array(block.excite.weight)
    assert w1.shape == (2, 32) and w2.shape == (32, 2)
    s = sigmoid(np.maximum(z @ w1.T, 0) @ w2.T)
    np.testing.assert_allclose(array(block(u)), array(u) * s[:, :, None, None], atol=1e-6)


@pytest.mark.parametrize(("kept", "alpha"), [(1, 0.7), (3, 0.7), (1, 0.0), (4, 0.0)])
def test_max_min_pooling(kept: int, alpha: float) -> None:
    maps = torch.randn(2, 14, 5, 5)
    ordered = np.sort(array(maps).reshape(2, 14, 25), axis=2)
    expected = ordered[:, :, -kept:].mean(2) + alpha * ordered[:, :, :kept].mean(2)
    np.testing.assert_allclose(array(max_min_pool(maps, kept, alpha)), expected, atol=1e-6)


def test_multi_map_is_a_mean_over_each_disease() -> None:
    method = narrow("se_multimap")
    view = images(2, 64)
    with torch.no_grad():
        raw = method.transfer(method.backbone(method.normalise(view)))
        maps = method.score(view).maps
    assert raw.shape[1] == 12 * 14
    for disease in range(14):
        own = raw[:, 12 * disease : 12 * disease + 12].mean(1)
        torch.testing.assert_close(maps[:, disease], own)


def test_logit_of_mean_probability() -> None:
    logits = torch.randn(10, 4, 14, dtype=torch.float64) * 4
    mean = sigmoid(array(logits)).mean(0)
    np.testing.assert_allclose(array(logit_of_mean(logits)), np.log(mean / (1 - mean)), atol=1e-9)
    extreme = torch.full((10, 1, 2), 200.0) * torch.tensor([1.0, -1.0])
    assert logit_of_mean(extreme).tolist() == [[200.0, -200.0]]


# CRAL


@pytest.mark.parametrize("residual", [True, False])
@pytest.mark.parametrize("maps", [14, 1])
def test_category_pooling_without_the_big_tensor(residual: bool, maps: int) -> None:
    f, a = torch.rand(2, 6, 3, 4), torch.rand(2, maps, 3, 4)
    big = array(a)[:, :, None] * array(f)[:, None]  # eq. 4: images x classes x channels x cells
    if residual:
        big = array(f)[:, None] + big  # eq. 5
    expected = np.maximum(big, 0).mean((3, 4))  # eq. 6 and 7
    np.testing.assert_allclose(array(attended_vectors(f, a, residual=residual)), expected, atol=1e-6)


@pytest.mark.parametrize("module", ["att1", "att2"])
@pytest.mark.parametrize("off", [(), ("category",), ("residual",), ("attention",)])
def test_cral_scores_class_by_class(module: str, off: tuple[str, ...]) -> None:
    method = narrow("cral", without=off, module=module)
    view = images(2, 64)
    with torch.no_grad():
        raw = method.backbone(method.normalise(view))
        a, f = method.weights(raw), method.trunk(raw)
        scores = method.score(view)
    gain = np.ones((2, 14, 1, 1)) if a is None else array(a) + (1.0 if "residual" not in off else 0.0)
    gain = np.broadcast_to(gain, (2, 14, *f.shape[2:]))
    theta, bias = array(method.classifier.weight), array(method.classifier.bias)
    for disease in range(14):
        vector = np.maximum(gain[:, disease, None] * array(f), 0).mean((2, 3))
        np.testing.assert_allclose(array(scores.logits)[:, disease], vector @ theta[disease] + bias[disease], atol=1e-5)
    np.testing.assert_allclose(array(scores.maps).mean((2, 3)), array(scores.logits), atol=1e-5)


# MLRFNet


def test_eca() -> None:
    torch.manual_seed(0)
    block = EfficientChannelAttention()
    u = torch.randn(2, 9, 4, 4)
    kernel = array(block.conv.weight).ravel()
    assert kernel.shape == (3,)
    means = np.pad(array(u).mean((2, 3)), ((0, 0), (1, 1)))
    weight = sigmoid(np.stack([(means[:, c : c + 3] * kernel).sum(1) for c in range(9)], 1))
    np.testing.assert_allclose(array(block(u)), array(u) * weight[:, :, None, None], atol=1e-6)


@pytest.mark.parametrize(("weight", "temperature"), [(0.5, 99.0), (0.3, 99.0), (0.1, 1.0)])
def test_csra(weight: float, temperature: float) -> None:
    maps = torch.randn(2, 14, 4, 4, dtype=torch.float64) * 3
    expected = np.zeros((2, 14))
    for n, c in np.ndindex(2, 14):
        mu = array(maps)[n, c].ravel()
        attention = np.exp(temperature * (mu - mu.max()))
        attention /= attention.sum()
        expected[n, c] = mu.mean() + weight * (attention * mu).sum()
    np.testing.assert_allclose(array(csra(maps, weight, temperature)), expected, atol=1e-12)
    assert torch.isfinite(csra(maps.float() * 1e4, weight, temperature)).all()


def test_mlrfnet_adds_its_three_levels() -> None:
    method = narrow("mlrfnet")
    view = images(2, 64)
    with torch.no_grad():
        u = method.backbone.levels(method.normalise(view))
        parts = [
            csra(head(eca(level)), weight, 99.0)
            for head, eca, level, weight in zip(
                method.heads, method.eca, (u.u2, u.u3, u.u4), (0.5, 0.3, 0.1), strict=True
            )
        ]
        torch.testing.assert_close(method.score(view).logits, parts[0] + parts[1] + parts[2])


# What all share


def test_grey_is_normalised_as_the_published_weights_expect() -> None:
    image = torch.rand(1, 1, 4, 4)
    three = narrow("chexnet").normalise(image)
    for channel, (mean, deviation) in enumerate(((0.485, 0.229), (0.456, 0.224), (0.406, 0.225))):
        torch.testing.assert_close(three[:, channel], (image[:, 0] - mean) / deviation)
    one = narrow("chexnet", channels=1).normalise(image)
    torch.testing.assert_close(one, (image - 0.449) / 0.226)


@pytest.mark.parametrize("name", ["chexnet", "dcnn", "cxr_irnet"])
def test_class_maps_average_to_the_logits(name: str) -> None:
    method = narrow(name)
    scores = method.score(images(2, 64))
    torch.testing.assert_close(scores.maps.mean((2, 3)), scores.logits, atol=1e-5, rtol=1e-4)
