"""Files written by DCMTK, another implementation altogether, give the plane of the file that they were made from."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from cxredge.pixels import Geometry, Percentiles
from cxredge.reading import open_source, read_plane
from tests.support.dicom_files import write_dicom
from tests.support.phantom import draw_phantom

LOSSLESS = {
    "implicit": ["dcmconv", "+ti"],
    "explicit": ["dcmconv", "+te"],
    "big endian": ["dcmconv", "+tb"],
    "deflated": ["dcmconv", "+td"],
    "without meta information": ["dcmconv", "-F"],
    "lengths undefined": ["dcmconv", "+e", "-g"],
    "rle": ["dcmcrle"],
    "rle, small fragments": ["dcmcrle", "+fs", "4"],
    "jpeg lossless": ["dcmcjpeg", "+e1"],
    "jpeg lossless, another predictor": ["dcmcjpeg", "+el", "+sv", "5"],
    "jpeg-ls": ["dcmcjpls", "+el"],
}
LOSSY = {"jpeg extended": ["dcmcjpeg", "+ee", "+q", "98"], "jpeg-ls near": ["dcmcjpls", "+en", "+md", "2"]}


@pytest.fixture(scope="module")
def scan(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dcmtk")
    tags = {"StudyInstanceUID": "1.2.3", "SeriesInstanceUID": "1.2.4"}
    return write_dicom(folder / "scan.dcm", draw_phantom(333, 301), window=(2048, 4096), tags=tags)


def converted(scan: Path, out: Path, command: list[str]) -> npt.NDArray[np.float32]:
    program = shutil.which(command[0])
    if program is None:
        pytest.skip(f"{command[0]} of DCMTK is not installed")
    subprocess.run([program, *command[1:], str(scan), str(out)], check=True, capture_output=True)
    return read_plane(open_source(out), Geometry(256, 256, "pad"), Percentiles())[0]


@pytest.mark.parametrize("name", LOSSLESS)
def test_lossless(name: str, scan: Path, tmp_path: Path) -> None:
    plane = converted(scan, tmp_path / "out.dcm", LOSSLESS[name])
    np.testing.assert_array_equal(plane, read_plane(open_source(scan), Geometry(256, 256, "pad"), Percentiles())[0])


@pytest.mark.parametrize("name", LOSSY)
def test_lossy(name: str, scan: Path, tmp_path: Path) -> None:
    plane = converted(scan, tmp_path / "out.dcm", LOSSY[name])
    expected = read_plane(open_source(scan), Geometry(256, 256, "pad"), Percentiles())[0]
    assert 0 < np.abs(plane - expected).max() <= 1 / 255
