"""Writes DICOM radiographs by code, in every transfer syntax that is read, so that tests need no patient's file.

`python -m tests.support.dicom_files scan.dcm` writes a drawn chest, `... FOLDER` one for each transfer syntax.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

IMPLICIT = "1.2.840.10008.1.2"
EXPLICIT = "1.2.840.10008.1.2.1"
ENCAPSULATED_RAW = "1.2.840.10008.1.2.1.98"
DEFLATED = "1.2.840.10008.1.2.1.99"
BIG_ENDIAN = "1.2.840.10008.1.2.2"
JPEG_BASELINE = "1.2.840.10008.1.2.4.50"
JPEG_EXTENDED = "1.2.840.10008.1.2.4.51"
JPEG_LOSSLESS = "1.2.840.10008.1.2.4.57"
JPEG_LOSSLESS_SV1 = "1.2.840.10008.1.2.4.70"
JPEG_LS = "1.2.840.10008.1.2.4.80"
JPEG_LS_NEAR = "1.2.840.10008.1.2.4.81"
J2K_LOSSLESS = "1.2.840.10008.1.2.4.90"
J2K = "1.2.840.10008.1.2.4.91"
JXL_LOSSLESS = "1.2.840.10008.1.2.4.110"
JXL = "1.2.840.10008.1.2.4.112"
HTJ2K_LOSSLESS = "1.2.840.10008.1.2.4.201"
HTJ2K_RPCL = "1.2.840.10008.1.2.4.202"
HTJ2K = "1.2.840.10008.1.2.4.203"
RLE = "1.2.840.10008.1.2.5"
DEFLATED_FRAME = "1.2.840.10008.1.2.8.1"

RAW_SYNTAXES = (IMPLICIT, EXPLICIT, DEFLATED, BIG_ENDIAN)
LOSSLESS_SYNTAXES = (
    ENCAPSULATED_RAW,
    RLE,
    DEFLATED_FRAME,
    JPEG_LOSSLESS,
    JPEG_LOSSLESS_SV1,
    JPEG_LS,
    J2K_LOSSLESS,
    HTJ2K_LOSSLESS,
    HTJ2K_RPCL,
    JXL_LOSSLESS,
)
LOSSY_SYNTAXES = (JPEG_BASELINE, JPEG_EXTENDED, JPEG_LS_NEAR, J2K, HTJ2K, JXL)

Pixels = npt.NDArray[Any]


def dicom_dataset(
    pixels: Pixels,
    *,
    syntax: str = EXPLICIT,
    bits_stored: int | None = None,
    high_bit: int | None = None,
    signed: bool = False,
    photometric: str = "MONOCHROME2",
    window: tuple[float, float] | None = None,
    tags: Mapping[str, Any] | None = None,
    codestream: bytes | None = None,
    fragments: int = 1,
) -> Any:
    """A DX image object around the pixels, as a pydicom dataset.

    Args:
        pixels: (rows, columns) or (rows, columns, 3), of 8, 16 or 32 bits; already shifted where `high_bit` says so.
        syntax: transfer syntax UID; the pixels are encoded accordingly.
        bits_stored: bits in use; by default 12 for 16-bit pixels, else all.
        high_bit: by default bits_stored - 1.
        signed: Pixel Representation.
        photometric: Photometric Interpretation.
        window: Window Center and Width; None leaves them out.
        tags: keyword -> value, set last; None removes the attribute. "(gggg,eeee)" keys take (VR, value).
        codestream: used in place of encoding the pixels.
        fragments: into how many fragments an encapsulated frame is cut.
    """
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.encaps import encapsulate

    allocated = pixels.dtype.itemsize * 8
    stored = bits_stored or (12 if allocated == 16 else allocated)
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = syntax
    _describe(ds, pixels, stored, stored - 1 if high_bit is None else high_bit, signed, photometric)
    if window is not None:
        ds.WindowCenter, ds.WindowWidth = window
    if syntax in RAW_SYNTAXES:
        order = ">" if syntax == BIG_ENDIAN else "<"
        data = pixels.astype(pixels.dtype.newbyteorder(order)).tobytes() if codestream is None else codestream
        ds.PixelData = data + b"\0" * (len(data) % 2)
    else:
        frame = encode(pixels, syntax, stored) if codestream is None else codestream
        ds.PixelData = encapsulate([frame], fragments_per_frame=fragments)
        ds["PixelData"].is_undefined_length = True
    ds["PixelData"].VR = "OB" if allocated == 8 or syntax not in RAW_SYNTAXES else "OW"
    _apply(ds, tags or {})
    return ds


def dicom_bytes(
    pixels: Pixels, *, preamble: bool = True, meta: bool = True, meta_uid: str | None = None, **options: Any
) -> bytes:
    """The whole file; see `dicom_dataset` for the options.

    Args:
        pixels: the image.
        preamble: False leaves out the 128 bytes and "DICM".
        meta: False leaves out the file meta information too.
        meta_uid: Media Storage SOP Instance UID, where it shall not be the data set's.
        **options: those of `dicom_dataset`.
    """
    import zlib

    from pydicom.filebase import DicomBytesIO
    from pydicom.filewriter import write_dataset, write_file_meta_info

    ds = dicom_dataset(pixels, **options)
    syntax = str(ds.file_meta.TransferSyntaxUID)
    head, body = DicomBytesIO(), DicomBytesIO()
    if meta:
        ds.file_meta.MediaStorageSOPClassUID = ds.get("SOPClassUID", "1.2.840.10008.5.1.4.1.1.1.1")
        ds.file_meta.MediaStorageSOPInstanceUID = meta_uid or ds.get("SOPInstanceUID", "1.2.3")
        write_file_meta_info(head, ds.file_meta, enforce_standard=True)
    body.is_implicit_VR, body.is_little_endian = syntax == IMPLICIT, syntax != BIG_ENDIAN
    write_dataset(body, ds)
    data = body.getvalue()
    if syntax == DEFLATED:
        packer = zlib.compressobj(wbits=-15)
        data = packer.compress(data) + packer.flush()
    return (b"\0" * 128 + b"DICM" if preamble and meta else b"") + head.getvalue() + data


def write_dicom(path: Path, pixels: Pixels, **options: Any) -> Path:
    """`dicom_bytes` into a file."""
    path.write_bytes(dicom_bytes(pixels, **options))
    return path


def encode(pixels: Pixels, syntax: str, bits: int, *, error: int = 1, resolutions: int = 6) -> bytes:
    """One frame's code stream.

    Args:
        pixels: (rows, columns) or (rows, columns, 3) of uint8 or uint16 (int16: signed code streams of JPEG 2000).
        syntax: an encapsulated transfer syntax.
        bits: precision written into the code stream.
        error: largest error of near-lossless JPEG-LS, in grey levels.
        resolutions: of JPEG 2000 and HTJ2K: 6 means five halvings.
    """
    import zlib

    import imagecodecs as ic

    if syntax == ENCAPSULATED_RAW:
        return pixels.tobytes()
    if syntax == DEFLATED_FRAME:
        packer = zlib.compressobj(wbits=-15)
        return packer.compress(pixels.tobytes()) + packer.flush()
    if syntax == RLE:
        return encode_rle(pixels)
    if syntax in (JPEG_LOSSLESS, JPEG_LOSSLESS_SV1):
        predictor = 1 if syntax == JPEG_LOSSLESS_SV1 else 4
        return bytes(ic.jpeg8_encode(pixels, lossless=True, predictor=predictor, bitspersample=bits))
    if syntax in (JPEG_BASELINE, JPEG_EXTENDED):
        return bytes(ic.jpeg8_encode(pixels, level=100, bitspersample=bits if pixels.dtype.itemsize > 1 else None))
    if syntax in (JPEG_LS, JPEG_LS_NEAR):
        # CharLS is called through imagecodecs, which writes the precision of the container: 8 or 16 bits.
        return bytes(ic.jpegls_encode(pixels, level=0 if syntax == JPEG_LS else error))
    if syntax in (J2K_LOSSLESS, J2K):
        reversible = syntax == J2K_LOSSLESS
        level = None if reversible else 75  # peak signal-to-noise ratio in dB
        options = {"codecformat": "J2K", "reversible": reversible, "bitspersample": bits, "resolutions": resolutions}
        return bytes(ic.jpeg2k_encode(pixels, level=level, **options))
    if syntax in (HTJ2K_LOSSLESS, HTJ2K_RPCL, HTJ2K):
        # OpenJPH writes 8 or 16 bits; the precision in the code stream is then more than Bits Stored says.
        level = None if syntax != HTJ2K else 0.0001
        return bytes(ic.htj2k_encode(pixels, level, reversible=syntax != HTJ2K, resolutions=resolutions - 1))
    if syntax in (JXL_LOSSLESS, JXL):
        lossless = syntax == JXL_LOSSLESS
        return bytes(
            ic.jpegxl_encode(
                pixels, lossless=lossless, distance=None if lossless else 0.05, bitspersample=bits, effort=3
            )
        )
    raise ValueError(f"no encoder for {syntax}")


def encode_rle(pixels: Pixels) -> bytes:
    """DICOM RLE (PS3.5 Annex G): one PackBits segment per byte plane, most significant first, each row apart."""
    rows = pixels.shape[0]
    samples = pixels.reshape(rows, -1, pixels.shape[2]) if pixels.ndim == 3 else pixels.reshape(rows, -1, 1)
    planes = np.ascontiguousarray(samples.astype(pixels.dtype.newbyteorder(">"))).view(np.uint8)
    planes = planes.reshape(rows, samples.shape[1], samples.shape[2], pixels.dtype.itemsize)
    segments = []
    for sample in range(samples.shape[2]):
        for byte in range(pixels.dtype.itemsize):
            segment = b"".join(_pack_bits(row.tobytes()) for row in planes[:, :, sample, byte])
            segments.append(segment + b"\0" * (len(segment) % 2))
    offsets = np.cumsum([64] + [len(segment) for segment in segments[:-1]])
    header = np.zeros(16, "<u4")
    header[0] = len(segments)
    header[1 : 1 + len(segments)] = offsets
    return header.tobytes() + b"".join(segments)


def _pack_bits(row: bytes) -> bytes:
    out = bytearray()
    values = np.frombuffer(row, np.uint8)
    edges = np.flatnonzero(np.diff(values)) + 1
    starts = np.concatenate([[0], edges])
    lengths = np.diff(np.concatenate([starts, [len(row)]]))
    literal = bytearray()

    def flush() -> None:
        for start in range(0, len(literal), 128):
            piece = literal[start : start + 128]
            out.append(len(piece) - 1)
            out.extend(piece)
        literal.clear()

    for start, length in zip(starts.tolist(), lengths.tolist(), strict=True):
        if length < 3:
            literal.extend(row[start : start + length])
            continue
        flush()
        while length > 0:
            run = min(length, 128)
            out.extend((257 - run if run > 1 else 0, row[start]))
            length -= run
    flush()
    return bytes(out)


def _describe(ds: Any, pixels: Pixels, stored: int, high_bit: int, signed: bool, photometric: str) -> None:
    from pydicom.uid import generate_uid

    ds.SOPClassUID = "1.2.840.10008.5.1.4.1.1.1.1"  # Digital X-Ray Image Storage - For Presentation
    ds.SOPInstanceUID = generate_uid(entropy_srcs=["cxredge drawn chest"])
    ds.Modality = "DX"
    ds.PresentationIntentType = "FOR PRESENTATION"
    ds.PatientName = "Drawn^Chest"
    ds.PatientID = "PHANTOM-1"
    ds.BodyPartExamined = "CHEST"
    ds.ViewPosition = "PA"
    ds.PatientOrientation = ["L", "F"]
    ds.ImagerPixelSpacing = [0.143, 0.143]
    ds.SamplesPerPixel = 3 if pixels.ndim == 3 else 1
    if pixels.ndim == 3:
        ds.PlanarConfiguration = 0
    ds.PhotometricInterpretation = photometric
    ds.Rows, ds.Columns = pixels.shape[:2]
    ds.BitsAllocated = pixels.dtype.itemsize * 8
    ds.BitsStored = stored
    ds.HighBit = high_bit
    ds.PixelRepresentation = int(signed)


def _apply(ds: Any, tags: Mapping[str, Any]) -> None:
    for keyword, value in tags.items():
        if keyword.startswith("("):
            vr, content = value
            ds.add_new((int(keyword[1:5], 16), int(keyword[6:10], 16)), vr, content)
        elif value is None:
            if keyword in ds:
                del ds[keyword]
        else:
            setattr(ds, keyword, value)


def demo_scan(path: Path) -> Path:
    """One drawn chest, as a modality would send it."""
    from tests.support.phantom import draw_phantom

    tags = {"BodyPartExamined": "CHEST", "ViewPosition": "PA", "ImagerPixelSpacing": [0.175, 0.175]}
    return write_dicom(path, draw_phantom(2400, 2000), window=(2048.0, 4096.0), tags=tags)


def main(out: Path) -> None:
    """One file where OUT ends in .dcm; else a folder with one file per transfer syntax."""
    from tests.support.phantom import draw_phantom

    if out.suffix == ".dcm":
        demo_scan(out)
        return
    out.mkdir(parents=True, exist_ok=True)
    for syntax in (*RAW_SYNTAXES, *LOSSLESS_SYNTAXES, *LOSSY_SYNTAXES):
        bits = 8 if syntax in (JPEG_BASELINE,) else 12
        pixels = draw_phantom(512, 420, bits=bits)
        image = pixels.astype(np.uint8) if bits == 8 else pixels
        write_dicom(out / f"{syntax}.dcm", image, syntax=syntax, window=(2.0 ** (bits - 1), 2.0**bits))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
