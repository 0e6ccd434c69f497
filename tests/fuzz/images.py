"""Fuzz targets that read an image: DICOM, raster files, and the command."""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np

from cxredge.errors import CxredgeError
from cxredge.pixels import Geometry, Percentiles
from cxredge.reading import open_source, read_plane
from cxredge.result import InputFacts, json_schema
from tests.fuzz.judge import CANARY, Broken, as_record, kind_of
from tests.support import dicom_files as files
from tests.support.phantom import draw_phantom

__all__ = ["Command", "Dicom", "Raster"]

ROOT = Path(__file__).resolve().parents[2]
_PLANE = Geometry(64, 64)
_LARGEST_SEED = 120_000
_WHOLE_WAY_EVERY = 50
_TAGS = {"BodyPartExamined": "CHEST", "ViewPosition": "PA", "PixelSpacing": [1.0, 1.0], **CANARY}


def _small_film() -> Any:
    return draw_phantom(72, 64, seed=3)


def with_canary(data: bytes) -> bytes:
    """A DICOM file with the canary patient in it; as it is where pydicom cannot rewrite it."""
    from pydicom import dcmread

    try:
        dataset = dcmread(io.BytesIO(data))
        for keyword, value in CANARY.items():
            setattr(dataset, keyword, value)
        out = io.BytesIO()
        dataset.save_as(out, enforce_file_format=False)
    except Exception:  # files that are broken on purpose
        return data
    return out.getvalue()


def real_files() -> Iterator[bytes]:
    """The small ones of the real files, where there are any."""
    named = os.environ.get("CXREDGE_DATA")
    folder = (Path(named) if named else ROOT.parent / "shared" / "data") / "dicom"
    small = [path for path in sorted(folder.glob("*/*")) if path.is_file() and path.stat().st_size <= _LARGEST_SEED]
    others = [path for path in small if path.parent.name == "other"]  # most are refused by their modality alone
    for path in (*(path for path in small if path not in others), *others[::6]):
        yield with_canary(path.read_bytes())


class Dicom:
    """Reading and pixels of every input; of those that survive every fiftieth goes the whole way to a result."""

    name = "dicom"
    most = 400_000

    def __init__(self) -> None:
        self._survivors = 0

    def seeds(self) -> Iterator[bytes]:
        """Small drawn films in every transfer syntax, the bad inputs that are small, and the small real files."""
        from tests.support.bad_inputs import ROWS
        from tests.support.bad_inputs.structure import BOMBS

        film = _small_film()
        for syntax in (*files.RAW_SYNTAXES, *files.LOSSLESS_SYNTAXES, *files.LOSSY_SYNTAXES):
            eight = syntax in (files.JPEG_BASELINE, files.JPEG_EXTENDED)
            image = (film >> 4).astype(np.uint8) if eight else film
            yield files.dicom_bytes(image, syntax=syntax, window=(2048, 4096), tags=_TAGS)
        signed = film.astype(np.int16) - 2048
        yield files.dicom_bytes(signed, signed=True, tags={**_TAGS, "RescaleSlope": 1, "RescaleIntercept": 2048})
        yield from (data for row in ROWS if row not in BOMBS.rows and len(data := row.make()) <= _LARGEST_SEED)
        yield from real_files()

    def run(self, data: bytes) -> str:
        """The kind of answer."""
        try:
            radiograph = open_source(data)
            read_plane(radiograph, _PLANE, Percentiles())
        except CxredgeError as error:
            if error.facts is not None and not isinstance(error.facts, InputFacts):
                raise Broken("the facts of an error are none") from None
            return kind_of(error)
        self._survivors += 1
        return "read" if self._survivors % _WHOLE_WAY_EVERY else predicted(data)


class Raster(Dicom):
    """PNG, JPEG and TIFF, read the same way."""

    name = "raster"
    most = 200_000

    def seeds(self) -> Iterator[bytes]:
        """Grey and coloured, of 8, 16 and 32 bits, with and without EXIF, of one page and several."""
        from PIL import Image

        film = _small_film()
        eight = Image.fromarray((film >> 4).astype(np.uint8))
        sixteen = Image.fromarray(film.astype(np.uint16) << 4)
        turned = Image.Exif()
        turned[0x0112] = 6
        for image in (eight, sixteen, eight.convert("RGB"), eight.convert("P"), eight.convert("LA")):
            yield _saved(image, "PNG")
        yield _saved(eight, "PNG", exif=turned)
        for settings in ({}, {"progressive": True}, {"exif": turned}):
            yield _saved(eight, "JPEG", **settings)
        yield _saved(eight.convert("RGB"), "JPEG")
        yield _saved(eight.convert("CMYK"), "JPEG")
        for compression in ("raw", "tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg"):
            yield _saved(eight, "TIFF", compression=compression)
        yield _saved(sixteen, "TIFF")
        yield _saved(Image.fromarray(film.astype(np.int32)), "TIFF")
        yield _saved(eight, "TIFF", save_all=True, append_images=[eight])
        yield _saved(eight, "TIFF", big_tiff=True)


def _saved(image: Any, form: str, **settings: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form, **settings)
    return buffer.getvalue()


@cache
def _model() -> Any:
    import cxredge

    return cxredge.load(engine="onnxruntime", precision="fp32", threads=1)


@cache
def _validator() -> Any:
    return jsonschema.Draft202012Validator(json_schema())


def _valid(record: dict[str, Any]) -> str:
    """The status of a result that keeps its own schema."""
    for problem in _validator().iter_errors(record):
        raise Broken(f"not by the schema: {problem.json_path}")
    return str(record["status"])


def predicted(data: bytes) -> str:
    """A whole prediction with the embedded bundle."""
    from cxredge.errors import InputError

    try:
        prediction = _model().predict(data)
    except InputError as error:
        return f"predicted: {kind_of(error)}"
    return f"predicted: {_valid(as_record(prediction.to_json()))}"


class Command:
    """`cxredge predict FOLDER --format json` on a dozen damaged files at a time, each under a name of its own bytes."""

    name = "command"
    most = 200_000
    batch = 12

    def __init__(self) -> None:
        self._waiting: list[bytes] = []
        self._seeds = Dicom()

    def seeds(self) -> Iterator[bytes]:
        """DICOM and raster files."""
        yield from self._seeds.seeds()
        yield from Raster().seeds()

    def run(self, data: bytes) -> str:
        """The command over this input and those that wait; where it fails, the judge is told of this batch."""
        self._waiting.append(data)
        if len(self._waiting) < self.batch:
            return "waits"
        batch, self._waiting = self._waiting, []
        return self.run_all(batch)

    def run_all(self, batch: list[bytes]) -> str:
        """The command over these."""
        folder = Path(tempfile.mkdtemp(prefix="cxredge-fuzz-"))
        try:
            for number, data in enumerate(batch):
                (folder / f"{number}-{_name(data)}").write_bytes(data)
            code, out = _command("predict", str(folder), "--format", "json", "--engine", "onnxruntime", "--quiet")
        finally:
            shutil.rmtree(folder)
        statuses = [_valid(as_record(line)) for line in out.splitlines()]
        if len(statuses) != len(batch):
            raise Broken(f"{len(statuses)} lines for {len(batch)} files")
        if code != (1 if "error" in statuses else 0):
            raise Broken(f"exit code {code} for {sorted(set(statuses))}")
        return " ".join(f"{statuses.count(each)} {each}" for each in sorted(set(statuses)))


def _name(data: bytes) -> str:
    """A file name of the input's last bytes: control characters, quotes, bytes that are no UTF-8."""
    kept = bytes(byte for byte in data[-12:] if byte not in b"/\0")
    return os.fsdecode(kept) if os.name == "posix" else kept.hex()


def _command(*words: str) -> tuple[int, str]:
    """The command in this process: its exit code and standard output."""
    from cxredge.cli import main

    raw = io.BytesIO()
    out = io.TextIOWrapper(raw, encoding="utf-8", write_through=True)
    try:
        with contextlib.redirect_stdout(out):
            main(list(words))
    except SystemExit as left:
        code = left.code if isinstance(left.code, int) else 1
    finally:
        sys.stdout.flush()
    text = raw.getvalue().decode("utf-8")
    return code, text
