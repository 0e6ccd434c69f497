"""The fourteen diseases: drawn inside their masks, stronger with severity, visible, and shaped as they should be."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from scipy.ndimage import binary_dilation

from cxredge.result import LABELS
from training.phantoms import Phantom, generate
from training.phantoms.findings import draw_findings, stream
from training.phantoms.generator import _pose, _scene

SIZE = 192
SEEDS = range(5)
INSIDE = {"Pneumothorax": 0.7, "Cardiomegaly": 0.7, "Atelectasis": 0.75}
"""Share of the change that lies within the marked area. A collapsed lung grows denser beside the air that is marked;
a larger heart scatters more, and pushes the vessels at its border; the stomach's gas goes up with a lifted dome."""


@cache
def phantom(seed: int, label: str | None, severity: float = 0.65) -> Phantom:
    return generate(seed, size=SIZE, findings={label: severity} if label else {}, devices=False)


def change(seed: int, label: str, severity: float = 0.65) -> np.ndarray:
    return np.abs(phantom(seed, label, severity).image - phantom(seed, None).image)


@pytest.mark.parametrize("label", LABELS)
def test_change_lies_where_it_is_marked(label: str) -> None:
    """What a disease changes lies in its mask, or where an organ's own outline moved with it."""
    for seed in SEEDS:
        ill, well = phantom(seed, label), phantom(seed, None)
        marked = ill.disease_masks[label] | (ill.masks ^ well.masks).any(0)
        marked = binary_dilation(marked, iterations=4)
        squared = change(seed, label) ** 2
        assert squared[marked].sum() >= INSIDE.get(label, 0.9) * squared.sum(), seed
        assert squared[ill.disease_masks[label]].mean() > 10 * squared[~marked].mean(), seed


@pytest.mark.parametrize("label", LABELS)
def test_boxes_hold_the_mask(label: str) -> None:
    for seed in SEEDS:
        ill = phantom(seed, label)
        covered = np.zeros((SIZE, SIZE), bool)
        assert {box.label for box in ill.boxes} == {label}
        for box in ill.boxes:
            assert 0 <= box.left < box.right <= SIZE
            assert 0 <= box.top < box.bottom <= SIZE
            covered[box.top : box.bottom, box.left : box.right] = True
        assert not (ill.disease_masks[label] & ~covered).any()
        assert ill.labels.tolist() == [int(name == label) for name in LABELS]


@pytest.mark.parametrize("label", LABELS)
def test_severity_shows(label: str) -> None:
    """The picture moves further from the healthy one as the disease grows."""
    totals = np.array([[change(seed, label, severity).sum() for severity in (0.15, 0.5, 0.95)] for seed in SEEDS])
    assert (np.diff(totals.mean(0)) > 0).all()
    assert (np.diff(totals, axis=1) > 0).mean() >= 0.9


def mean_change(seed: int, label: str, where: np.ndarray, severity: float = 0.65) -> float:
    return float((phantom(seed, label, severity).image - phantom(seed, None).image)[where].mean())


@pytest.mark.parametrize(
    ("label", "sign"),
    [(name, -1 if name in {"Pneumothorax", "Emphysema"} else 1) for name in LABELS if name != "Hernia"],
)
def test_air_is_dark_and_fluid_bright(label: str, sign: int) -> None:
    for seed in SEEDS:
        ill, well = phantom(seed, label), phantom(seed, None)
        where = ill.disease_masks[label] & well.masks[:2].any(0)
        assert sign * mean_change(seed, label, where) > 0.01, seed


def test_effusion_lies_at_the_base_and_climbs_the_wall() -> None:
    for seed in SEEDS:
        ill = phantom(seed, "Effusion")
        if ill.parameters["signs"][0]["lying"]:
            continue
        side = 0 if ill.parameters["signs"][0]["side"] == "left" else 1
        lung, fluid = ill.masks[side], ill.disease_masks["Effusion"] & ill.masks[side]
        rows = np.flatnonzero(lung.any(1))
        assert np.flatnonzero(fluid.any(1))[-1] >= rows[-1] - 2
        assert not fluid[: (rows[0] + rows[-1]) // 2 - 10].any()
        columns = np.flatnonzero(fluid.any(0))
        highest = np.median(np.flatnonzero(fluid[np.flatnonzero(fluid.any(1))[0]]))
        inwards = (highest - columns[0]) / np.ptp(columns) if side == 1 else (columns[-1] - highest) / np.ptp(columns)
        assert inwards < 0.5


def test_cardiomegaly_widens_the_heart() -> None:
    for seed in SEEDS:
        assert phantom(seed, None).parameters["cardiothoracic_ratio"] <= 0.5
        assert phantom(seed, "Cardiomegaly", 0.1).parameters["cardiothoracic_ratio"] > 0.5
        assert phantom(seed, "Cardiomegaly", 0.9).parameters["cardiothoracic_ratio"] > 0.6


def test_no_vessels_in_a_pneumothorax() -> None:
    """Nothing but air in the gap, a line of tissue where it ends, vessels in what is left of the lung."""
    for seed in SEEDS:
        pose = _pose(stream(seed, "pose"), 0.0)
        scene = _scene(seed, SIZE, {"Pneumothorax": 0.8}, pose)
        before = scene.tissue.copy()
        draw_findings(scene, seed, {"Pneumothorax": 0.8})
        (sign,) = scene.drawn
        line = (scene.tissue - before) > 0.05
        gap = sign.mask & ~binary_dilation(line, iterations=3)
        lung = scene.lung[sign.facts["side"]] > 0.9
        assert gap.sum() > 100
        assert np.quantile(scene.vessels[gap], 0.95) < 0.05
        assert scene.vessels[lung & ~sign.mask].mean() > 0.1
        assert np.quantile(scene.share[gap], 0.1) > 0.95
        assert binary_dilation(line, iterations=2)[sign.mask & binary_dilation(lung & ~sign.mask)].mean() > 0.5


def test_emphysema_flattens_the_domes() -> None:
    for seed in SEEDS:
        ill, well = phantom(seed, "Emphysema", 0.9), phantom(seed, None)
        for side in (0, 1):
            assert np.flatnonzero(ill.masks[side].any(1))[-1] > np.flatnonzero(well.masks[side].any(1))[-1]


def test_masses_and_nodules_have_their_sizes() -> None:
    for seed in SEEDS:
        for severity in (0.0, 1.0):
            for sign in phantom(seed, "Nodule", severity).parameters["signs"]:
                assert 2 * sign["radius_cm"] < 3
            for sign in phantom(seed, "Mass", severity).parameters["signs"]:
                assert 2 * sign["radius_cm"] >= 3


def test_hernia_holds_gas_over_fluid() -> None:
    """Standing patients: the upper part inside the wall is darker than the lower."""
    seen = 0
    for seed in range(12):
        ill = phantom(seed, "Hernia", 0.8)
        if ill.parameters["view"] == "AP":
            continue
        (box,) = ill.boxes
        middle = slice(box.left + (box.right - box.left) // 3, box.right - (box.right - box.left) // 3)
        high = (box.bottom - box.top) // 4
        upper = ill.image[box.top + high : box.top + 2 * high - 1, middle].mean()
        lower = ill.image[box.top + 2 * high + 2 : box.top + 3 * high, middle].mean()
        assert upper < lower
        seen += 1
    assert seen


def test_signs_overlap() -> None:
    """All fourteen at once: each is still drawn and marked."""
    everything = generate(2, size=SIZE, findings=dict.fromkeys(LABELS, 0.6))
    assert everything.labels.all()
    assert set(everything.disease_masks) == set(LABELS)


@pytest.mark.slow
def test_a_linear_probe_sees_the_signs() -> None:
    """Logistic regression on a 16 x 16 thumbnail, its mirror image taken off, and the fine detail of each cell.

    Small shadows anywhere in the lung (nodule, mass) are no linear function of pixels: they are measured against
    their surroundings instead, where the truth says that they lie.
    """
    pytest.importorskip("sklearn", reason="needs scikit-learn: pip install -e '.[train]'")
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import roc_auc_score
    from sklearn.model_selection import cross_val_predict
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    count = 48
    options = {"size": 96, "devices": False, "pose": 0.3}
    well = [_features(generate(seed, findings={}, **options).image) for seed in range(count)]
    truth = np.repeat([0, 1], count)
    scores = {}
    for label in set(LABELS) - {"Nodule", "Mass"}:
        ill = [
            _features(generate(1000 + i, findings={label: 0.4 + 0.6 * i / count}, **options).image)
            for i in range(count)
        ]
        probe = make_pipeline(StandardScaler(), LogisticRegression(C=0.003, max_iter=500))
        found = cross_val_predict(probe, np.array(well + ill), truth, cv=4, method="decision_function")
        scores[label] = roc_auc_score(truth, found)
    assert np.mean(list(scores.values())) > 0.8, scores
    assert sum(score > 0.6 for score in scores.values()) >= 10, scores


def _features(image: np.ndarray) -> np.ndarray:
    cell = image.shape[0] // 16
    low = image.reshape(16, cell, 16, cell).mean((1, 3))
    detail = image - 0.25 * sum(np.roll(image, shift, axis) for shift in (1, -1) for axis in (0, 1))
    fine = np.log(1e-4 + (detail**2).reshape(16, cell, 16, cell).mean((1, 3)))
    return np.concatenate([low.ravel(), (low - low[:, ::-1])[:, :8].ravel(), fine.ravel()])


@pytest.mark.parametrize("label", ["Nodule", "Mass"])
def test_shadows_stand_out(label: str) -> None:
    """Brighter than the ring around them, on the average of many."""
    contrast = []
    for seed in range(10):
        ill = phantom(seed, label)
        mask, lungs = ill.disease_masks[label], ill.masks[:2].any(0)
        ring = binary_dilation(mask, iterations=6) & ~binary_dilation(mask, iterations=2) & lungs
        contrast.append(ill.image[mask & lungs].mean() - ill.image[ring].mean())
    assert np.mean(contrast) > 0.03
    assert np.mean(np.array(contrast) > 0) >= 0.8
