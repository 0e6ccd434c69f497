"""The outlines as vectors over the image: a Grayscale Softcopy Presentation State (PS3.3 A.33.1)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from highdicom.color import CIELabColor
from highdicom.content import PresentationLUTTransformation
from highdicom.pr import (
    GraphicAnnotation,
    GraphicLayer,
    GraphicObject,
    GrayscaleSoftcopyPresentationState,
    TextObject,
)
from pydicom import DataElement, Dataset
from pydicom.uid import ExplicitVRLittleEndian

from cxredge.dicom.display import Display, read_display
from cxredge.dicom.pixeltags import read_pixel_tags
from cxredge.dicom.tags import SAMPLES_PER_PIXEL, tag_text
from cxredge.dicom_out.identity import Writer
from cxredge.dicom_out.segmentation import segments
from cxredge.errors import Code, InputError
from cxredge.pixels import Lut, Rescale, Window
from cxredge.prediction import Prediction
from cxredge.report.contours import outlines, simplify
from cxredge.report.style import COLOURS, NAMES
from cxredge.sources import Limits

__all__ = ["presentation"]

_MOST_POINTS = 4000
"""Of one outline: a value holds at most 65534 bytes where its length has 16 bits, and a point takes eight."""
_TEXT_COLOUR = "#FFFFFF"
_NOTICE_BOX = (0.02, 0.95, 0.98, 0.99)
"""Left, top, right and bottom as shares of the displayed area: along the lower edge, below the lungs."""


def presentation(prediction: Prediction, writer: Writer, limits: Limits) -> Dataset:
    """Each structure's outline as a closed polyline on a layer of its own, and the notice as text on another.

    The image is shown as it asks for itself: its modality step, window and polarity are in the state too, as a
    presentation state takes the place of them all (PS3.4 N.2).
    """
    reference = writer.reference()
    reference.SamplesPerPixel, display = 1, _display(writer, limits)
    layers, annotations = _annotations(prediction, writer, reference)
    dataset = GrayscaleSoftcopyPresentationState(
        referenced_images=[reference],
        content_label="CXREDGE",
        content_description="Outlines of lungs and heart",
        graphic_layers=layers,
        graphic_annotations=annotations,
        presentation_lut_transformation=PresentationLUTTransformation(
            presentation_lut_shape="INVERSE" if display.inverted else "IDENTITY"
        ),
        transfer_syntax_uid=ExplicitVRLittleEndian,
        **writer.common("pr"),
    )
    _show_as(dataset, display)
    spacing = prediction.input.pixel_spacing
    if spacing is not None and spacing[0] != spacing[1]:
        ratio = [max(1, round(side / min(spacing) * 1000)) for side in spacing]
        dataset.DisplayedAreaSelectionSequence[0].PresentationPixelAspectRatio = ratio
    return writer.finish(dataset)


def _display(writer: Writer, limits: Limits) -> Display:
    header = writer.source.header
    pixels = read_pixel_tags(header.tags, limits)
    if pixels.samples != 1:
        detail = "a presentation state needs an image stored as grey; ask for the other kinds"
        raise InputError(Code.DICOM_SOURCE, detail, tag=tag_text(SAMPLES_PER_PIXEL))
    return read_display(header.tags, photometric=pixels.photometric, signed=pixels.signed)


def _annotations(
    prediction: Prediction, writer: Writer, reference: Dataset
) -> tuple[list[GraphicLayer], list[GraphicAnnotation]]:
    layers, annotations = [], []
    for order, name in enumerate(segments(prediction), start=1):
        layer = _layer(name.upper(), order, NAMES[name], COLOURS[name])
        drawn = [_polyline(loop, reference.Rows, reference.Columns) for loop in outlines(prediction.masks[name])]
        layers.append(layer)
        annotations.append(GraphicAnnotation([reference], layer, graphic_objects=drawn))
    if writer.notice:
        layer = _layer("NOTICE", len(layers) + 1, "What it may be used for", _TEXT_COLOUR)
        text = TextObject(
            f"cxredge: {writer.notice}", units="DISPLAY", bounding_box=_NOTICE_BOX, text_justification="CENTER"
        )
        layers.append(layer)
        annotations.append(GraphicAnnotation([reference], layer, text_objects=[text]))
    return layers, annotations


def _layer(name: str, order: int, description: str, colour: str) -> GraphicLayer:
    return GraphicLayer(name, order, description=description, display_color=CIELabColor.from_string(colour))


def _polyline(loop: npt.NDArray[np.float64], rows: int, columns: int) -> GraphicObject:
    """A closed outline; 0 and 0 are the corner of the first pixel, not its middle (PS3.3 C.10.5.1.2)."""
    tolerance = 0.15
    while len(loop) > _MOST_POINTS:
        tolerance *= 2
        loop = simplify(loop, tolerance)
    closed = np.clip(np.vstack([loop, loop[:1]]), 0.0, (columns, rows))
    return GraphicObject("POLYLINE", closed.astype(np.float32), units="PIXEL")


def _show_as(dataset: Dataset, display: Display) -> None:
    """The modality and VOI steps that cxredge itself used (PS3.3 C.11.1, C.11.8)."""
    modality, voi = display.modality, display.voi
    if isinstance(modality, Lut):
        table = _table(modality)
        table.ModalityLUTType = "US"
        dataset.ModalityLUTSequence = [table]
    elif modality != Rescale():
        dataset.RescaleIntercept, dataset.RescaleSlope = _decimal(modality.intercept), _decimal(modality.slope)
        dataset.RescaleType = "US"
    if voi is None:
        return
    item = Dataset()
    if isinstance(voi, Window):
        item.WindowCenter, item.WindowWidth = _decimal(voi.center), _decimal(voi.width)
        if voi.function != "LINEAR":
            item.VOILUTFunction = voi.function
    else:
        item.VOILUTSequence = [_table(voi)]
    dataset.SoftcopyVOILUTSequence = [item]


def _table(lut: Lut) -> Dataset:
    item = Dataset()
    vr = "SS" if lut.first < 0 else "US"
    item.add(DataElement(0x00283002, vr, [lut.data.size % 65536, lut.first, lut.bits]))
    item.add(DataElement(0x00283006, "OW", lut.data.astype("<u2").tobytes()))
    return item


def _decimal(value: float) -> str:
    """A decimal string of at most 16 characters (PS3.5 6.2)."""
    for digits in range(15, 5, -1):
        text = f"{value:.{digits}g}"
        if len(text) <= 16:
            break
    return text
