"""The bundle that comes with the package: small, sealed, honest, and it answers."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import cxredge
from cxredge.bundle import open_bundle, verify
from cxredge.pipeline import EMBEDDED
from cxredge.result import LABELS

EXAMPLES = Path(__file__).parents[1] / "examples"
MOST_BYTES = 25 * 2**20


@pytest.fixture(scope="module")
def model():
    with cxredge.load(EMBEDDED, engine="onnxruntime", precision="fp32") as loaded:
        yield loaded


def test_small_and_sealed() -> None:
    assert EMBEDDED.stat().st_size < MOST_BYTES
    verify(EMBEDDED)


def test_it_says_what_it_is() -> None:
    with open_bundle(EMBEDDED) as bundle:
        manifest, card = bundle.manifest, bundle.read(bundle.manifest.model_card).decode()
        sources = {source["name"] for source in json.loads(bundle.read("sources.json"))}
    assert manifest.clinical is False
    assert bundle.facts.use == "demonstration, trained on 784 images, not for diagnosis"
    assert "Not for diagnosis" in manifest.intended_use
    assert sources == {"nih", "montgomery", "phantoms", "drawn pictures"}  # all of them may be given away
    for words in ("NIH Clinical Center", "Montgomery", "Within groups", "View alone", "View", "import-weights"):
        assert words in card


def test_the_documents_show_its_own_model_card() -> None:
    with open_bundle(EMBEDDED) as bundle:
        card = bundle.read(bundle.manifest.model_card).decode()
    assert (EXAMPLES.parent / "docs" / "default-bundle-card.md").read_text(encoding="utf-8") == card


def test_every_finding_tells_how_its_threshold_was_chosen() -> None:
    with open_bundle(EMBEDDED) as bundle:
        for finding in bundle.manifest.findings:
            for point in finding.operating_points.values():
                chosen = point.sensitivity is not None and point.specificity is not None
                assert chosen != point.how.startswith("not chosen"), finding.label


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.dcm")), ids=lambda path: path.stem)
def test_a_drawn_film_is_answered(path: Path, model: cxredge.Model) -> None:
    assert path.stat().st_size < 1_000_000
    prediction = model.predict(path)
    assert prediction.status == "ok"
    assert [finding.label for finding in prediction.findings] == list(LABELS)
    assert all(prediction.masks[name].any() for name in ("left_lung", "right_lung", "heart"))


# Of the outlines that the films were drawn from (examples/README.md says how).
DRAWN_RATIOS = {"scan": 0.654, "healthy": 0.480, "mass": 0.421, "pneumothorax": 0.473}


@pytest.mark.parametrize(("name", "drawn"), DRAWN_RATIOS.items())
def test_the_heart_is_as_wide_as_it_was_drawn(name: str, drawn: float, model: cxredge.Model) -> None:
    anatomy = model.predict(EXAMPLES / f"{name}.dcm").anatomy
    assert anatomy is not None
    # An effusion hides the border of `scan`'s heart; the others' can be seen.
    assert anatomy.cardiothoracic_ratio == pytest.approx(drawn, abs=0.06 if name == "scan" else 0.03)


def test_the_outlines_are_where_the_lungs_were_drawn(model: cxredge.Model) -> None:
    """The heart lies between the lungs, the patient's left on the image's right."""
    masks = model.predict(EXAMPLES / "healthy.dcm").masks
    middle = {name: np.nonzero(mask)[1].mean() for name, mask in masks.items()}
    assert middle["right_lung"] < middle["heart"] < middle["left_lung"]


@pytest.mark.parametrize(
    ("name", "disease"), [("scan", "Cardiomegaly"), ("mass", "Mass"), ("pneumothorax", "Pneumothorax")]
)
def test_the_disease_that_was_drawn_is_found_and_the_healthy_film_lacks_it(
    name: str, disease: str, model: cxredge.Model
) -> None:
    found, healthy = (
        {finding.label: finding for finding in model.predict(EXAMPLES / f"{film}.dcm").findings}[disease]
        for film in (name, "healthy")
    )
    assert found.positive
    assert not healthy.positive
