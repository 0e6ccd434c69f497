"""What all tests share: the import path of the helpers, the real data where it is, and a quiet cache."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from importlib.machinery import PathFinder
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

# The tests' helpers are imported as `tests.support.*`; the package itself comes from the installed wheel when CI
# asks for it (CXREDGE_TEST_INSTALLED), so the checkout must not shadow it.
if os.environ.get("CXREDGE_TEST_INSTALLED"):
    sys.path[:] = [entry for entry in sys.path if Path(entry or ".").resolve() != ROOT]
    import cxredge

    assert ROOT not in Path(cxredge.__file__).resolve().parents, (
        f"testing the checkout, not the wheel: {cxredge.__file__}"
    )
    sys.path.append(str(ROOT))
elif str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))


def pytest_collection_finish() -> None:
    """What a test imports may have changed the path, which child processes inherit: they must find the wheel too."""
    if os.environ.get("CXREDGE_TEST_INSTALLED"):
        found = PathFinder.find_spec("cxredge")
        assert found is not None and found.origin is not None
        assert ROOT not in Path(found.origin).resolve().parents, "child processes would find the checkout"


def _shared_data() -> Path | None:
    named = os.environ.get("CXREDGE_DATA")
    folder = Path(named) if named else ROOT.parent / "shared" / "data"
    return folder if (folder / "dicom" / "index.csv").is_file() else None


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real images; a test that needs it is skipped where there is none."""
    folder = _shared_data()
    if folder is None:
        pytest.skip("needs the real files: set CXREDGE_DATA to the folder that holds dicom/index.csv")
    return folder


@pytest.fixture(scope="session", autouse=True)
def engine_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Compiled graphs of one test run are kept together, and apart from the user's own cache."""
    folder = tmp_path_factory.mktemp("engine-cache")
    before = os.environ.get("CXREDGE_CACHE")
    os.environ["CXREDGE_CACHE"] = str(folder)
    yield folder
    if before is None:
        del os.environ["CXREDGE_CACHE"]
    else:
        os.environ["CXREDGE_CACHE"] = before


@pytest.fixture(scope="session")
def tiny_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny bundle as a `.cxr` file: real graphs, random weights."""
    from tests.support.tiny_bundle import write_tiny_bundle

    return write_tiny_bundle(tmp_path_factory.mktemp("bundle") / "tiny.cxr")


@pytest.fixture(scope="session")
def gated_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny bundle with the optional `gate` output, as a folder."""
    from tests.support.tiny_bundle import write_tiny_bundle

    return write_tiny_bundle(tmp_path_factory.mktemp("bundle") / "gated", gate=True, int8=False)


@pytest.fixture(scope="session")
def scan(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A drawn frontal chest as a DX file with everything that a good one has."""
    from tests.support.dicom_files import write_dicom
    from tests.support.phantom import draw_phantom

    path = tmp_path_factory.mktemp("scan") / "scan.dcm"
    tags = {"BodyPartExamined": "CHEST", "ViewPosition": "PA", "PixelSpacing": [0.4, 0.4]}
    return write_dicom(path, draw_phantom(700, 600), window=(2048.0, 4096.0), tags=tags)
