"""The files: valid DX objects that the runtime reads as frontal chests and shows as the generator does."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from cxredge.pixels import Geometry
from cxredge.preprocess import make_plane
from cxredge.reading import open_source
from cxredge.result import LABELS
from training.phantoms import Box, generate
from training.phantoms.cli import phantom as command
from training.phantoms.dicom import write_dicom
from training.phantoms.encoding import SYNTAXES

WAYS = [(False, "explicit"), (True, "explicit"), *((False, name) for name in SYNTAXES if name != "explicit")]


@pytest.fixture(scope="module", params=WAYS, ids=lambda way: f"{way[1]}-{'monochrome1' if way[0] else 'monochrome2'}")
def written(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = generate(11, size=256, findings={"Effusion": 0.7, "Nodule": 0.8})
    inverted, syntax = request.param
    return write_dicom(made, tmp_path_factory.mktemp("dicom"), "one", inverted=inverted, syntax=syntax)


def test_read_as_a_frontal_chest(written: Path) -> None:
    radiograph = open_source(written)
    assert radiograph.warnings == ()
    assert (radiograph.rows, radiograph.columns) == (256, 256)
    assert radiograph.facts.modality == "DX"
    assert radiograph.facts.view in {"PA", "AP"}
    assert radiograph.facts.pixel_spacing == pytest.approx((generate(11, size=256).spacing,) * 2, abs=1e-5)


def test_shown_as_generated(written: Path) -> None:
    """The runtime's own pixels, whichever way they are stored."""
    radiograph = open_source(written)
    description = radiograph.decode().description
    data = b"".join(bytes(chunk) for chunk in radiograph.decode().chunks)
    plane = make_plane(data, description, Geometry(256, 256))
    expected = generate(11, size=256, findings={"Effusion": 0.7, "Nodule": 0.8}).image
    assert np.allclose(plane, expected, atol=2e-4)


def test_pydicom_agrees(written: Path) -> None:
    from pydicom import dcmread
    from pydicom.pixels import apply_windowing, get_decoder

    ds = dcmread(written)
    if not get_decoder(ds.file_meta.TransferSyntaxUID).is_available:
        pytest.skip("pydicom has no decoder for this transfer syntax here")
    shown = apply_windowing(ds.pixel_array, ds) / 4095
    shown = 1 - shown if ds.PhotometricInterpretation == "MONOCHROME1" else shown
    expected = generate(11, size=256, findings={"Effusion": 0.7, "Nodule": 0.8}).image
    assert np.allclose(shown, expected, atol=2e-4)


def test_nobody_could_take_it_for_a_patient(written: Path) -> None:
    from pydicom import dcmread

    ds = dcmread(written)
    assert str(ds.PatientName).startswith("PHANTOM^")
    assert str(ds.PatientID).startswith("PHANTOM-")
    assert "Synthetic" in ds.ImageComments
    assert not ds.PatientBirthDate


def test_truth_beside_it(written: Path) -> None:
    made = generate(11, size=256, findings={"Effusion": 0.7, "Nodule": 0.8})
    truth = json.loads(written.with_suffix(".json").read_text(encoding="utf-8"))
    assert truth["labels"] == {label: int(label in {"Effusion", "Nodule"}) for label in LABELS}
    assert tuple(Box(**box) for box in truth["boxes"]) == made.boxes
    with np.load(written.with_suffix(".masks.npz"), allow_pickle=False) as masks:
        assert np.array_equal(masks["structures"], made.masks)
        assert np.array_equal(masks["Effusion"], made.disease_masks["Effusion"])


@pytest.mark.skipif(shutil.which("dciodvfy") is None, reason="needs dciodvfy (Debian: dicom3tools)")
def test_dciodvfy_finds_nothing(written: Path) -> None:
    done = subprocess.run(["dciodvfy", str(written)], capture_output=True, text=True, check=False)
    assert "Error" not in done.stdout + done.stderr
    assert "Warning" not in done.stdout + done.stderr


@pytest.mark.skipif(shutil.which("dcmdump") is None, reason="needs dcmdump (Debian: dcmtk)")
def test_dcmdump_reads_it(written: Path) -> None:
    done = subprocess.run(["dcmdump", str(written)], capture_output=True, text=True, check=True)
    assert "DigitalXRayImageStorageForPresentation" in done.stdout
    assert done.stderr == ""


def test_command_writes_a_set(tmp_path: Path) -> None:
    options = ["--count", "5", "--dicom", str(tmp_path), "--size", "96", "--seed", "3", "--png"]
    done = CliRunner().invoke(command, options, catch_exceptions=False)
    assert done.exit_code == 0
    files = sorted(path.name for path in tmp_path.iterdir())
    endings = ("dcm", "json", "masks.npz", "png")
    assert files == sorted(f"phantom-{seed:06d}.{ending}" for seed in range(3, 8) for ending in endings)
    kinds = [json.loads(path.read_text(encoding="utf-8"))["photometric"] for path in sorted(tmp_path.glob("*.json"))]
    assert kinds == ["MONOCHROME2"] * 4 + ["MONOCHROME1"]
    first = {path.name: path.read_bytes() for path in tmp_path.glob("*.dcm")}
    CliRunner().invoke(command, options, catch_exceptions=False)
    assert first == {path.name: path.read_bytes() for path in tmp_path.glob("*.dcm")}


def test_command_takes_findings(tmp_path: Path) -> None:
    options = ["--count", "1", "--dicom", str(tmp_path), "--size", "96", "--finding", "Mass=0.9", "--finding", "Edema"]
    CliRunner().invoke(command, options, catch_exceptions=False)
    truth = json.loads((tmp_path / "phantom-000000.json").read_text(encoding="utf-8"))
    assert truth["parameters"]["findings"] == {"Mass": 0.9, "Edema": 0.7}


def test_command_refuses_nonsense(tmp_path: Path) -> None:
    done = CliRunner().invoke(command, ["--dicom", str(tmp_path), "--finding", "Mass=much"])
    assert done.exit_code == 2
    assert "LABEL=SEVERITY" in done.output
