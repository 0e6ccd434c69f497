"""The overlay as a Secondary Capture image (PS3.3 A.8), for a PACS that shows nothing else."""

from __future__ import annotations

import numpy as np
from highdicom.sc import SCImage
from pydicom import Dataset
from pydicom.uid import ExplicitVRLittleEndian

from cxredge.dicom_out.identity import Writer
from cxredge.prediction import Prediction

__all__ = ["capture"]


def capture(prediction: Prediction, writer: Writer) -> Dataset:
    """The picture of `prediction.overlay()`: image, outlines, the strongest heat map and the caption beside it.

    Text is burned in, so (0028,0301) is YES whatever the image's own says. The modality is OT: a viewer that hangs
    radiographs by it must not take this for one.
    """
    dataset = SCImage.from_ref_dataset(
        ref_dataset=writer.reference(),
        pixel_array=np.asarray(prediction.overlay().convert("RGB")),
        photometric_interpretation="RGB",
        bits_allocated=8,
        coordinate_system="PATIENT",
        patient_orientation=("L", "F"),
        transfer_syntax_uid=ExplicitVRLittleEndian,
        **writer.common("sc"),
    )
    dataset.PatientOrientation = None  # type 2: the caption has none
    dataset.ConversionType = "WSD"
    dataset.BurnedInAnnotation = "YES"
    dataset.LossyImageCompression = "00"
    for element in writer.reference().group_dataset(0x0028):
        if element.keyword.startswith("Lossy"):
            dataset[element.tag] = element
    dataset.DerivationDescription = "Image with outlines, heat map and findings drawn by software. " + writer.notice
    dataset.SourceImageSequence = [_image(writer)]
    return writer.finish(dataset)


def _image(writer: Writer) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID = writer.source.sop_class
    item.ReferencedSOPInstanceUID = writer.source.sop_instance
    purpose = Dataset()
    purpose.CodeValue, purpose.CodingSchemeDesignator = "121322", "DCM"
    purpose.CodeMeaning = "Source image for image processing operation"
    item.PurposeOfReferenceCodeSequence = [purpose]
    return item
