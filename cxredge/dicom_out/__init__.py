"""Results as DICOM objects that a PACS files beside the image: `docs/dicom-results.md`.

Needs the extra `dicom`. Importing this package is cheap: highdicom is imported by `prepare`, or for the first object.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from cxredge.errors import Code, UsageError
from cxredge.sources import Limits

if TYPE_CHECKING:
    from cxredge.dicom_out.results import DicomResult
    from cxredge.prediction import Prediction
    from cxredge.reading import Source

__all__ = ["KINDS", "SOP_CLASSES", "Kind", "checked_kinds", "prepare", "results_as_dicom", "write_results"]

Kind = Literal["sr", "seg", "sc", "pr"]
KINDS: tuple[Kind, ...] = ("sr", "seg", "sc", "pr")
"""A measurement report, a segmentation, a picture, and a presentation state."""

SOP_CLASSES: dict[Kind, str] = {
    "sr": "1.2.840.10008.5.1.4.1.1.88.34",
    "seg": "1.2.840.10008.5.1.4.1.1.66.4",
    "sc": "1.2.840.10008.5.1.4.1.1.7",
    "pr": "1.2.840.10008.5.1.4.1.1.11.1",
}
"""Comprehensive 3D SR, Segmentation, Secondary Capture Image and Grayscale Softcopy Presentation State Storage."""

_LIMITS = Limits()


def prepare() -> None:
    """Import all that writing needs. Call it before threads start: two that import at once meet half-made modules.

    Raises:
        UsageError: DICOM_MISSING where highdicom is not installed.
    """
    if find_spec("highdicom") is None:
        raise UsageError(Code.DICOM_MISSING)
    import_module("cxredge.dicom_out.writing")


def checked_kinds(names: Sequence[str]) -> tuple[Kind, ...]:
    """The kinds of these names, each once and in the order of `KINDS`.

    Raises:
        UsageError: BAD_ARGUMENT for any other name, and for none.
    """
    unknown = [name for name in names if name not in KINDS]
    if unknown or not names:
        known = ", ".join(KINDS)
        raise UsageError(
            Code.BAD_ARGUMENT, f"{unknown[0]!r} is no kind of object; there are {known}" if unknown else known
        )
    return tuple(kind for kind in KINDS if kind in names)


def results_as_dicom(
    prediction: Prediction,
    source: Source,
    kinds: Sequence[str] = KINDS,
    *,
    created: datetime | None = None,
    limits: Limits = _LIMITS,
) -> list[DicomResult]:
    """The objects that belong beside one image, in its study, each in a series of its own.

    The same image, bundle and operating point give the same identifiers, and with the same `created` the same bytes:
    whoever may send a result twice keeps the moment of the first time, or the objects themselves.

    Args:
        prediction: what is written. Of an abstention only the report ("sr") is made, and says why; of an error, of an
            object that is no radiograph by its modality, and of one that cxredge wrote itself, nothing.
        source: the image that was predicted on: a path, a file's bytes, an open binary file or a pydicom Dataset.
        kinds: which objects, of `KINDS`.
        created: when the result was made; now if None.
        limits: the largest image that is accepted.

    Raises:
        UsageError: DICOM_MISSING, or BAD_ARGUMENT for an unknown kind.
        InputError: DICOM_SOURCE where nothing can be filed beside the image: it is no DICOM file, or an identifier is
            missing or not valid; FILE_CHANGED where it is not the image that was predicted on.
        CxredgeError: DICOM_UNWRITABLE for a defect of cxredge.
    """
    chosen = checked_kinds(kinds)
    prepare()
    from cxredge.dicom_out.results import make_results

    moment = created or datetime.now().astimezone()
    return make_results(prediction, source, chosen, moment, limits)


def write_results(results: Sequence[DicomResult], folder: Path, stem: str) -> list[Path]:
    """Write `STEM.sr.dcm` and so on: see `cxredge.dicom_out.writing.write_results`."""
    from cxredge.dicom_out.writing import write_results as write

    return write(results, folder, stem)
