"""From a prediction and its image to the objects that belong beside it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from pydicom import Dataset

from cxredge.dicom_out import Kind
from cxredge.dicom_out.capture import capture
from cxredge.dicom_out.identity import Writer
from cxredge.dicom_out.presentation import presentation
from cxredge.dicom_out.report import report
from cxredge.dicom_out.segmentation import segmentation
from cxredge.dicom_out.source import read_source
from cxredge.errors import Code, CxredgeError, InputError
from cxredge.prediction import Prediction
from cxredge.sources import Limits

if TYPE_CHECKING:
    from cxredge.reading import Source

__all__ = ["DicomResult", "make_results"]


@dataclass(frozen=True, slots=True, eq=False)
class DicomResult:
    """One object.

    Attributes:
        kind: "sr", "seg", "sc" or "pr".
        dataset: the object with its file meta information, in Explicit VR Little Endian.
        image: SOP Instance UID of the image that it belongs to.
    """

    kind: Kind
    dataset: Dataset = field(repr=False)
    image: str = field(repr=False)


def make_results(
    prediction: Prediction, source: Source, kinds: Sequence[Kind], created: datetime, limits: Limits
) -> list[DicomResult]:
    """See `cxredge.dicom_out.results_as_dicom`."""
    record = prediction.record
    if record.status == "error" or record.bundle is None or _is_no_radiograph(prediction):
        return []
    image = read_source(source, limits)
    if record.input.sop_instance_uid not in (None, image.sop_instance):
        raise InputError(Code.FILE_CHANGED, tag="(0008,0018)")
    writer = Writer(image, record, record.bundle, created)
    try:
        made = _made(prediction, writer, kinds, limits)
    except (CxredgeError, MemoryError):
        raise
    except Exception as error:  # the text of a foreign exception may quote the file: its type says enough
        raise CxredgeError(Code.DICOM_UNWRITABLE, type(error).__name__) from None
    return [DicomResult(kind, made[kind], image.sop_instance) for kind in kinds if kind in made]


def _is_no_radiograph(prediction: Prediction) -> bool:
    """A study's CT slices, and results of ours or others, need no report that says that nothing was said of them."""
    return prediction.reason is not None and prediction.reason.code in (Code.OWN_RESULT, Code.WRONG_MODALITY)


def _made(prediction: Prediction, writer: Writer, kinds: Sequence[Kind], limits: Limits) -> dict[Kind, Dataset]:
    made: dict[Kind, Dataset] = {}
    if prediction.status == "ok":
        if "seg" in kinds:
            made["seg"] = segmentation(prediction, writer)
        if "sc" in kinds:
            made["sc"] = capture(prediction, writer)
        if "pr" in kinds:
            made["pr"] = presentation(prediction, writer, limits)
    if "sr" in kinds:
        made["sr"] = report(prediction, writer, made.get("seg"))
    return made
