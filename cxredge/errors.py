"""Every way an input, a bundle or an engine can fail, in one enum, and the exceptions that carry it.

A :class:`Code` is what a program matches on; its :class:`Meaning` is what a person reads. `docs/codes.md` is generated
from this file and a test keeps the two the same.
"""

from __future__ import annotations

import enum
from typing import Any, NamedTuple

__all__ = [
    "MEANINGS",
    "Abstention",
    "BundleError",
    "Code",
    "CxredgeError",
    "EngineError",
    "InputError",
    "Kind",
    "Meaning",
    "NativeError",
    "UsageError",
]


class Kind(enum.StrEnum):
    """What a code does to a prediction."""

    WARNING = "warning"  # there is a result; read it with this in mind
    ABSTAINED = "abstained"  # the file is readable, but no result can be trusted on it
    ERROR = "error"  # the file, the bundle or the engine is broken


class Code(enum.StrEnum):
    """The codes of warnings, abstentions and errors; the values never change once released."""

    # Warnings: a result follows.
    NO_METADATA = "no_metadata"
    NO_WINDOW = "no_window"
    SEVERAL_WINDOWS = "several_windows"
    INVALID_WINDOW = "invalid_window"
    INVALID_LUT = "invalid_lut"
    INVALID_RESCALE = "invalid_rescale"
    INVALID_SPACING = "invalid_spacing"
    BODY_PART_UNKNOWN = "body_part_unknown"
    VIEW_UNKNOWN = "view_unknown"
    MIRRORED_BY_TAGS = "mirrored_by_tags"
    COLOR_AS_GREY = "color_as_grey"
    OVERLAY_IGNORED = "overlay_ignored"
    BURNED_IN_ANNOTATION = "burned_in_annotation"
    PIXELS_PADDED = "pixels_padded"
    BITS_CORRECTED = "bits_corrected"
    NO_PREAMBLE = "no_preamble"
    SYNTAX_GUESSED = "syntax_guessed"
    SMALL_IMAGE = "small_image"
    PRESENTATION_CONFLICT = "presentation_conflict"
    HEART_NOT_FOUND = "heart_not_found"
    CHILD = "child"
    INVALID_UID = "invalid_uid"

    # Abstentions: no findings are given.
    OWN_RESULT = "own_result"
    WRONG_MODALITY = "wrong_modality"
    MODALITY_UNKNOWN = "modality_unknown"
    WRONG_BODY_PART = "wrong_body_part"
    LATERAL_VIEW = "lateral_view"
    OBLIQUE_VIEW = "oblique_view"
    TURNED_BY_TAGS = "turned_by_tags"
    FOR_PROCESSING = "for_processing"
    BLANK_IMAGE = "blank_image"
    IMAGE_TOO_SMALL = "image_too_small"
    IMPLAUSIBLE_LUNGS = "implausible_lungs"
    NOT_CHEST_BY_PIXELS = "not_chest_by_pixels"
    INVERTED_BY_PIXELS = "inverted_by_pixels"
    TURNED_BY_PIXELS = "turned_by_pixels"

    # Errors of an input.
    FILE_NOT_FOUND = "file_not_found"
    FILE_UNREADABLE = "file_unreadable"
    FILE_CHANGED = "file_changed"
    NOT_AN_IMAGE = "not_an_image"
    PREAMBLE_EXECUTABLE = "preamble_executable"
    DICOM_BROKEN = "dicom_broken"
    SYNTAX_UNSUPPORTED = "syntax_unsupported"
    NO_PIXEL_DATA = "no_pixel_data"
    MULTI_FRAME = "multi_frame"
    COLOR_IMAGE = "color_image"
    PHOTOMETRIC_UNSUPPORTED = "photometric_unsupported"
    PIXEL_FORMAT_INVALID = "pixel_format_invalid"
    PIXELS_TRUNCATED = "pixels_truncated"
    PIXELS_DISAGREE_WITH_TAGS = "pixels_disagree_with_tags"
    CODESTREAM_BROKEN = "codestream_broken"
    DECODER_MISSING = "decoder_missing"
    TOO_LARGE = "too_large"
    ARRAY_UNSUPPORTED = "array_unsupported"

    # Errors of a bundle.
    NO_BUNDLE = "no_bundle"
    BUNDLE_NOT_FOUND = "bundle_not_found"
    BUNDLE_SCHEMA = "bundle_schema"
    BUNDLE_INVALID = "bundle_invalid"
    BUNDLE_FILE_MISSING = "bundle_file_missing"
    BUNDLE_FILE_EXTRA = "bundle_file_extra"
    BUNDLE_HASH = "bundle_hash"
    BUNDLE_PATH = "bundle_path"
    BUNDLE_EXTERNAL_DATA = "bundle_external_data"
    BUNDLE_PICKLE = "bundle_pickle"
    BUNDLE_ARCHIVE = "bundle_archive"
    BUNDLE_GOLDEN = "bundle_golden"
    SIGNATURE_MISSING = "signature_missing"
    SIGNATURE_BROKEN = "signature_broken"
    SIGNATURE_KEY = "signature_key"
    SIGNATURE_WRONG = "signature_wrong"
    KEY_UNREADABLE = "key_unreadable"
    SIGNING_MISSING = "signing_missing"
    OPERATING_POINT_UNKNOWN = "operating_point_unknown"
    PRECISION_NOT_IN_BUNDLE = "precision_not_in_bundle"

    # Errors of an engine.
    ENGINE_UNKNOWN = "engine_unknown"
    ENGINE_MISSING = "engine_missing"
    ENGINE_CRASHED = "engine_crashed"
    ENGINE_TIMEOUT = "engine_timeout"
    ENGINE_FAILED = "engine_failed"
    ENGINE_OUTPUT = "engine_output"
    ENGINE_FORKED = "engine_forked"
    DEVICE_MISSING = "device_missing"
    PRECISION_UNSUPPORTED = "precision_unsupported"

    # Errors of the tables that thresholds and drift are worked out from.
    SCORES_UNUSABLE = "scores_unusable"
    CASES_UNUSABLE = "cases_unusable"
    TOO_FEW_CASES = "too_few_cases"
    RESULTS_UNUSABLE = "results_unusable"
    NO_BASELINE = "no_baseline"

    # Errors of results as DICOM objects.
    DICOM_MISSING = "dicom_missing"
    DICOM_SOURCE = "dicom_source"
    DICOM_UNWRITABLE = "dicom_unwritable"

    # Errors of the DICOM node.
    NODE_MISSING = "node_missing"
    NODE_CONFIG = "node_config"
    NODE_ADDRESS = "node_address"
    SPOOL_UNUSABLE = "spool_unusable"
    SPOOL_BUSY = "spool_busy"
    WORKER_TIMEOUT = "worker_timeout"
    WORKER_CRASHED = "worker_crashed"

    # Errors of the C core and of how it was called.
    NATIVE_MISMATCH = "native_mismatch"
    NATIVE_FAILED = "native_failed"
    OUT_OF_MEMORY = "out_of_memory"
    BAD_ARGUMENT = "bad_argument"
    OUTPUT_UNWRITABLE = "output_unwritable"
    INTERNAL = "internal"

    @property
    def kind(self) -> Kind:
        """Whether this code is a warning, an abstention or an error."""
        return MEANINGS[self].kind


class Meaning(NamedTuple):
    """What a code says to a person, and what that person can do."""

    kind: Kind
    what: str
    do: str


def _table() -> dict[Code, Meaning]:
    warning, abstained, error = Kind.WARNING, Kind.ABSTAINED, Kind.ERROR
    c, m = Code, Meaning
    return {
        c.NO_METADATA: m(
            warning,
            "The image carries no DICOM header, so nothing says that it shows a frontal chest.",
            "Check that it is a frontal chest radiograph; prefer the DICOM file.",
        ),
        c.NO_WINDOW: m(
            warning,
            "The file gives no window; grey values were spread between low and high percentiles.",
            "Compare the picture with the workstation's.",
        ),
        c.SEVERAL_WINDOWS: m(
            warning, "The file gives several windows; the first was used.", "None needed if the first is the usual one."
        ),
        c.INVALID_WINDOW: m(
            warning,
            "The window in the file is not usable; percentiles were used in its place.",
            "Have the sending device's window settings checked.",
        ),
        c.INVALID_LUT: m(
            warning,
            "A lookup table in the file is not usable and was left out.",
            "Have the sending device's presentation settings checked.",
        ),
        c.INVALID_RESCALE: m(
            warning,
            "Rescale slope or intercept is not usable; stored values were used as they are.",
            "Have the sending device's settings checked.",
        ),
        c.INVALID_SPACING: m(
            warning, "The pixel spacing is not usable; areas are in pixels only.", "None needed unless areas matter."
        ),
        c.BODY_PART_UNKNOWN: m(
            warning,
            "No tag names the body part.",
            "Check that the image shows a chest; set (0018,0015) at the modality.",
        ),
        c.VIEW_UNKNOWN: m(
            warning, "No tag names the view.", "Check that the view is frontal; set (0018,5101) at the modality."
        ),
        c.MIRRORED_BY_TAGS: m(
            warning,
            "The patient orientation says that the image is mirrored, so left and right may be the wrong way round.",
            "Look for the side marker; have the orientation set right at the modality.",
        ),
        c.COLOR_AS_GREY: m(warning, "A colour image with equal channels was read as grey.", "None needed."),
        c.OVERLAY_IGNORED: m(warning, "Overlay planes in the file were not drawn into the image.", "None needed."),
        c.BURNED_IN_ANNOTATION: m(
            warning,
            "The file says that text is burned into its pixels.",
            "Check that no annotation lies over lungs or heart.",
        ),
        c.PIXELS_PADDED: m(warning, "The pixel data is longer than the image; the rest was ignored.", "None needed."),
        c.BITS_CORRECTED: m(
            warning,
            "The tags about bits contradict the compressed image; the compressed image was believed.",
            "Have the sending device checked.",
        ),
        c.NO_PREAMBLE: m(warning, "The file lacks the DICOM preamble or its file meta information.", "None needed."),
        c.SYNTAX_GUESSED: m(
            warning,
            "The file names no transfer syntax; it was worked out from the bytes.",
            "Have the program that wrote the file checked.",
        ),
        c.SMALL_IMAGE: m(
            warning,
            "The image is smaller than the network's input, so it was enlarged.",
            "Send the original radiograph, not a thumbnail.",
        ),
        c.PRESENTATION_CONFLICT: m(
            warning,
            "Presentation LUT shape is unknown or contradicts the photometric interpretation, which was believed.",
            "Have the sending device's settings checked.",
        ),
        c.HEART_NOT_FOUND: m(
            warning,
            "No heart was found, so there is no cardiothoracic ratio.",
            "Look at the outlines before trusting the findings.",
        ),
        c.CHILD: m(
            warning,
            "The patient is a child by the age in the file.",
            "See in the model card whether the bundle learned from children; if not, do not rely on the result.",
        ),
        c.INVALID_UID: m(
            warning,
            "The SOP Instance UID is missing, ill-formed, or not that of the file meta information.",
            "Match the result with its image by the path; have the program that wrote the file checked.",
        ),
        c.OWN_RESULT: m(
            abstained,
            "The file is a result that cxredge wrote, not a radiograph.",
            "None needed: the image that it belongs to is the one to send.",
        ),
        c.WRONG_MODALITY: m(
            abstained, "The file is not a radiograph by its modality.", "Send CR or DX images of the chest."
        ),
        c.MODALITY_UNKNOWN: m(
            abstained,
            "Nothing in the file says that it is a radiograph.",
            "Send the original CR or DX object, or export it as PNG if you are sure of what it shows.",
        ),
        c.WRONG_BODY_PART: m(abstained, "The file names another body part.", "Send images of the chest."),
        c.LATERAL_VIEW: m(abstained, "The view is lateral by its tags.", "Send the frontal (PA or AP) image."),
        c.OBLIQUE_VIEW: m(
            abstained, "The view is oblique, decubitus or lordotic by its tags.", "Send the frontal (PA or AP) image."
        ),
        c.TURNED_BY_TAGS: m(
            abstained,
            "The patient orientation says that the image lies on its side or upside down.",
            "Send it upright.",
        ),
        c.FOR_PROCESSING: m(
            abstained,
            "The image is raw detector data (FOR PROCESSING).",
            "Send the FOR PRESENTATION image of the same exposure.",
        ),
        c.BLANK_IMAGE: m(abstained, "The image is blank: all of it has one grey value.", "Check the exposure."),
        c.IMAGE_TOO_SMALL: m(
            abstained, "The image is too small to show a chest.", "Send the original radiograph, not a thumbnail."
        ),
        c.IMPLAUSIBLE_LUNGS: m(
            abstained,
            "The outlines that were found cannot be the lungs of a frontal chest radiograph.",
            "Look at the image: it may be turned, cropped, another view or another body part.",
        ),
        c.NOT_CHEST_BY_PIXELS: m(
            abstained, "The picture does not look like a frontal chest radiograph.", "Look at the image."
        ),
        c.INVERTED_BY_PIXELS: m(
            abstained,
            "The picture looks inverted (bone dark, air bright).",
            "Check the photometric interpretation (0028,0004).",
        ),
        c.TURNED_BY_PIXELS: m(abstained, "The picture looks turned.", "Send it upright."),
        c.FILE_NOT_FOUND: m(error, "There is no such file.", "Check the path."),
        c.FILE_UNREADABLE: m(error, "The file cannot be read.", "Check its permissions and the disk."),
        c.FILE_CHANGED: m(
            error, "The file changed since it was read.", "Predict again, and draw from the new prediction."
        ),
        c.NOT_AN_IMAGE: m(
            error, "The file is neither DICOM nor PNG, JPEG or TIFF.", "Send a DICOM file or one of these."
        ),
        c.PREAMBLE_EXECUTABLE: m(
            error,
            "The file's preamble is the beginning of a program, so it may be malware as well as an image.",
            "Do not pass it on; have the source and the machine that sent it checked.",
        ),
        c.DICOM_BROKEN: m(error, "The DICOM structure is broken.", "Send the file again from its source."),
        c.SYNTAX_UNSUPPORTED: m(
            error, "The transfer syntax is not one that can be read.", "Send it in a syntax of docs/reading.md."
        ),
        c.NO_PIXEL_DATA: m(error, "The file has no pixel data.", "Send an image object."),
        c.MULTI_FRAME: m(error, "The file has several frames.", "Send single radiographs."),
        c.COLOR_IMAGE: m(error, "The image is in colour.", "Send the grey original."),
        c.PHOTOMETRIC_UNSUPPORTED: m(
            error, "The photometric interpretation cannot be a radiograph's.", "Send MONOCHROME1 or MONOCHROME2."
        ),
        c.PIXEL_FORMAT_INVALID: m(
            error, "The tags that describe the pixels are missing or contradict each other.", "Have the sender checked."
        ),
        c.PIXELS_TRUNCATED: m(
            error, "The pixel data is shorter than the image.", "Send the file again from its source."
        ),
        c.PIXELS_DISAGREE_WITH_TAGS: m(
            error, "The compressed image has another size or depth than the tags say.", "Have the sender checked."
        ),
        c.CODESTREAM_BROKEN: m(
            error, "The compressed image cannot be decoded.", "Send the file again from its source."
        ),
        c.DECODER_MISSING: m(error, "No decoder for this compression is installed.", "Run `cxredge doctor`."),
        c.TOO_LARGE: m(
            error, "The file or its image exceeds the limits of size.", "Raise the limits if it is a real radiograph."
        ),
        c.ARRAY_UNSUPPORTED: m(
            error,
            "The array is not a grey image.",
            "Give a 2-D array of integers of at most 16 bits, or of floats in 0..1.",
        ),
        c.NO_BUNDLE: m(
            error,
            "No bundle was given and none is embedded in this version.",
            "Give one with --bundle; see docs/bundles.md.",
        ),
        c.BUNDLE_NOT_FOUND: m(error, "There is no bundle at that path.", "Check the path."),
        c.BUNDLE_SCHEMA: m(error, "The bundle's schema is not one that this version reads.", "Update cxredge."),
        c.BUNDLE_INVALID: m(
            error, "The manifest is incomplete or contradicts itself.", "Get or seal the bundle again."
        ),
        c.BUNDLE_FILE_MISSING: m(error, "A file of the bundle is missing.", "Get the bundle again."),
        c.BUNDLE_FILE_EXTRA: m(error, "The bundle holds a file that its manifest does not name.", "Get it again."),
        c.BUNDLE_HASH: m(error, "A file of the bundle is not the one that was sealed.", "Get the bundle again."),
        c.BUNDLE_PATH: m(error, "The bundle names a path outside itself, or a link.", "Do not use this bundle."),
        c.BUNDLE_EXTERNAL_DATA: m(error, "The graph keeps data outside its own file.", "Export it again as one file."),
        c.BUNDLE_PICKLE: m(error, "The bundle holds pickled Python objects.", "Do not use this bundle."),
        c.BUNDLE_ARCHIVE: m(
            error, "The .cxr archive is damaged, compressed or otherwise not allowed.", "Get the bundle again."
        ),
        c.BUNDLE_GOLDEN: m(
            error,
            "The engine's answer on the bundle's golden input is not the golden output.",
            "Use another engine or precision; report it with `cxredge doctor --json`.",
        ),
        c.SIGNATURE_MISSING: m(
            error,
            "The bundle must be signed, and its signature cannot be read.",
            "Get the .sig file from the bundle's maker and put it beside the bundle.",
        ),
        c.SIGNATURE_BROKEN: m(
            error, "The signature file is damaged, or is none.", "Get it again from the bundle's maker."
        ),
        c.SIGNATURE_KEY: m(
            error,
            "The bundle is signed with another key.",
            "Do not use it unless its maker confirms the key in another way.",
        ),
        c.SIGNATURE_WRONG: m(
            error,
            "The signature does not hold for this bundle.",
            "Do not use this bundle; get it and its signature again.",
        ),
        c.KEY_UNREADABLE: m(
            error,
            "The key is not usable.",
            "Give an Ed25519 key in a PEM file; docs/bundles.md says how they are made.",
        ),
        c.SIGNING_MISSING: m(
            error, "The package that checks signatures is not installed.", "Install it: pip install 'cxredge[sign]'."
        ),
        c.OPERATING_POINT_UNKNOWN: m(
            error, "The bundle has no operating point of that name.", "`cxredge info --bundle` lists them."
        ),
        c.PRECISION_NOT_IN_BUNDLE: m(
            error, "The bundle has no graph of that precision.", "`cxredge info --bundle` lists them."
        ),
        c.ENGINE_UNKNOWN: m(error, "There is no engine of that name.", "`cxredge doctor` lists them."),
        c.ENGINE_MISSING: m(error, "The engine is not installed or too old.", "`cxredge doctor` says what to install."),
        c.ENGINE_CRASHED: m(
            error, "The engine crashed while it compiled or first ran the graph.", "Choose another with --engine."
        ),
        c.ENGINE_TIMEOUT: m(
            error, "The engine did not finish compiling in time.", "Choose another, or raise CXREDGE_COMPILE_SECONDS."
        ),
        c.ENGINE_FAILED: m(error, "The engine refused the graph or the run.", "Choose another with --engine."),
        c.ENGINE_OUTPUT: m(
            error, "The engine gave outputs of the wrong shape, or not-a-number.", "Choose another with --engine."
        ),
        c.ENGINE_FORKED: m(
            error,
            "The engine was at work before this process was forked, and does not survive a fork.",
            "Load a model in the child with engine 'auto' or 'onnxruntime', or start processes by 'spawn'.",
        ),
        c.DEVICE_MISSING: m(error, "The device is not there.", "`cxredge doctor` lists the devices."),
        c.PRECISION_UNSUPPORTED: m(
            error, "The engine cannot run that precision here.", "`cxredge doctor` lists what it can."
        ),
        c.SCORES_UNUSABLE: m(
            error, "The scores or labels cannot be worked with.", "See the message and docs/operating-points.md."
        ),
        c.CASES_UNUSABLE: m(
            error, "The table of cases is not usable.", "Correct the row; docs/site.md has the format."
        ),
        c.TOO_FEW_CASES: m(error, "There are too few cases.", "Collect more; docs/site.md says how many and why."),
        c.RESULTS_UNUSABLE: m(
            error,
            "The file of results is not usable here.",
            "Give the lines of `cxredge predict --format json`, made with this bundle.",
        ),
        c.NO_BASELINE: m(
            error,
            "The bundle does not say what its results should look like, so no drift from it can be seen.",
            "Make a baseline: `cxredge site --consecutive`, or `cxredge drift --baseline FIRST.jsonl`.",
        ),
        c.DICOM_MISSING: m(
            error,
            "The package that writes DICOM objects is not installed.",
            "Install it: pip install 'cxredge[dicom]'.",
        ),
        c.DICOM_SOURCE: m(
            error,
            "No DICOM object can be filed beside this image.",
            "Have the sender corrected; the result itself is in the other outputs.",
        ),
        c.DICOM_UNWRITABLE: m(
            error, "A result could not be made into a DICOM object.", "Report it: this is a defect of cxredge."
        ),
        c.NODE_MISSING: m(error, "The DICOM node is not installed.", 'Install it: pip install "cxredge[node]".'),
        c.NODE_CONFIG: m(error, "The node's configuration is not usable.", "Correct it: docs/node.md has every word."),
        c.NODE_ADDRESS: m(
            error, "The node cannot listen at this address.", "Choose a free port and an address of this machine."
        ),
        c.SPOOL_UNUSABLE: m(
            error,
            "The node's spool cannot be used.",
            "Give the node a folder of its own on a local disk that its user can write.",
        ),
        c.SPOOL_BUSY: m(error, "Another node runs on this spool.", "Stop that one, or give this one another spool."),
        c.WORKER_TIMEOUT: m(
            error,
            "The analysis took too long and was ended.",
            "Look at the image; `cxredge queue retry` tries it again.",
        ),
        c.WORKER_CRASHED: m(
            error,
            "The process that analysed the image ended before its answer.",
            "Look at the image; `cxredge queue retry` tries it again.",
        ),
        c.NATIVE_MISMATCH: m(error, "The C core is of another version than the package.", "Install cxredge again."),
        c.NATIVE_FAILED: m(error, "The C core refused its arguments.", "Report it: this is a defect of cxredge."),
        c.OUT_OF_MEMORY: m(error, "There was not enough memory.", "Close programs, or lower the batch size."),
        c.BAD_ARGUMENT: m(error, "An argument is not usable.", "See the message."),
        c.OUTPUT_UNWRITABLE: m(error, "A result cannot be written.", "Check the folder, its rights and the disk."),
        c.INTERNAL: m(error, "Something unexpected happened inside cxredge.", "Report it with the message."),
    }


MEANINGS: dict[Code, Meaning] = _table()


class CxredgeError(Exception):
    """Base of everything that cxredge raises on purpose.

    Attributes:
        code: what happened; match on this, never on the text.
        detail: what was wrong here, in one sentence, without patient data. May be empty.
        tag: the DICOM attribute at fault as "(gggg,eeee)", or None.
    """

    def __init__(self, code: Code, detail: str = "", *, tag: str | None = None) -> None:
        super().__init__(code, detail, tag)
        self.code = code
        self.detail = detail
        self.tag = tag
        # What was known of the input by then (a result.InputFacts, and result.Notice objects), set by whoever knows:
        # part of the answer, not of the text.
        self.facts: object | None = None
        self.warnings: tuple[object, ...] = ()

    def __reduce__(self) -> tuple[Any, ...]:
        """Errors travel between processes: without this, unpickling one would fail and break the host's pool."""
        return _revived, (type(self), self.code, self.detail, self.tag), self.__dict__

    @property
    def message(self) -> str:
        """What was wrong, where, and what to do: one line for a person."""
        meaning = MEANINGS[self.code]
        detail = f": {self.detail}" if self.detail else ""
        tag = f", tag {self.tag}" if self.tag else ""
        return f"{meaning.what[:-1]}{detail}{tag}. {meaning.do}"

    def __str__(self) -> str:
        return f"{self.message} [{self.code}]"


def _revived(kind: type[CxredgeError], code: Code, detail: str, tag: str | None) -> CxredgeError:
    return kind(code, detail, tag=tag)


class InputError(CxredgeError):
    """The input is broken: no result is possible."""


class Abstention(CxredgeError):  # noqa: N818 - it is an answer, not a failure
    """The input is readable, but nothing that would be said of it could be trusted."""


class BundleError(CxredgeError):
    """The bundle is not one to be trusted, or lacks what was asked of it."""


class EngineError(CxredgeError):
    """The engine is not there, or failed."""


class NativeError(CxredgeError):
    """The C core failed."""


class UsageError(CxredgeError):
    """The caller asked for something that does not exist."""
