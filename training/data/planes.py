"""From a case's files to what is cached: its plane by the runtime's own preprocessing, and its masks on the same grid.

Nothing here imports torch: the processes that build a cache start in a moment.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import numpy.typing as npt

from cxredge.errors import Code, CxredgeError, InputError, UsageError
from cxredge.pixels import Geometry, Percentiles, PixelDescription, Window
from cxredge.preprocess import make_plane
from cxredge.reading import Radiograph, open_source, read_plane
from training.data.cases import Case, MaskSource
from training.errors import DataError, Problem

__all__ = ["plane_of", "planes_of_masks", "size_of"]

Plane = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]

_MOST = 4095  # of 12 bits
_FULL = Window(127.5, 255.0, "LINEAR_EXACT")


def plane_of(case: Case, geometry: Geometry, percentiles: Percentiles) -> Plane:
    """The graph's input plane of a case: float32 (rows, columns), 0..1, bright = dense.

    Raises:
        DataError: UNREADABLE or MISSING_IMAGE, with the reason of the runtime.
    """
    with _named(case, case.path):
        if case.raw is not None:
            return make_plane(_raw(case.path, case.raw), case.raw, geometry, percentiles=percentiles)
        return read_plane(_opened(case.path), geometry, percentiles)[0]


def size_of(case: Case) -> tuple[int, int]:
    """Rows and columns of a case's image; no pixel is decoded.

    Raises:
        DataError: as `plane_of`.
    """
    if case.raw is not None:
        return case.raw.rows, case.raw.columns
    with _named(case, case.path):
        radiograph = _opened(case.path)
    return radiograph.rows, radiograph.columns


def _opened(path: Path) -> Radiograph:
    try:
        return open_source(path)
    except InputError as error:
        grey = _grey(path) if error.code is Code.COLOR_IMAGE else None
        if grey is None:
            raise
        return open_source(grey)


@contextmanager
def _named(case: Case, file: Path) -> Iterator[None]:
    """What the runtime says of a file, with the file and the line of the table."""
    try:
        yield
    except DataError:
        raise
    except CxredgeError as error:
        problem = Problem.MISSING_IMAGE if error.code is Code.FILE_NOT_FOUND else Problem.UNREADABLE
        raise _error(case, file, problem, error.message, error.code) from error


def _error(case: Case, file: Path, problem: Problem, detail: str, code: Code = Code.BAD_ARGUMENT) -> DataError:
    if case.table is None:
        return DataError(problem, detail, file=file, code=code)
    return DataError(problem, f"{file.name}: {detail}", file=case.table, row=case.row, code=code)


def _raw(path: Path, description: PixelDescription) -> bytes:
    """The bytes of a file without a header, if they can be what the set says that they are."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise InputError(Code.FILE_NOT_FOUND) from None
    except OSError as error:
        raise InputError(Code.FILE_UNREADABLE, error.strerror or type(error).__name__) from None
    if len(data) != description.nbytes:
        raise InputError(Code.PIXELS_TRUNCATED, f"{len(data)} bytes where {description.nbytes} are due")
    values = np.frombuffer(data, ">u2" if description.big_endian else "<u2")
    # Bytes in the wrong order are values far beyond 12 bits; single ones at the film's edge are no reason to refuse.
    if np.count_nonzero(values > _MOST) > values.size // 1000:
        raise InputError(Code.PIXEL_FORMAT_INVALID, "values of more than 12 bits: is the byte order right?")
    if values.min() == values.max():
        raise InputError(Code.PIXEL_FORMAT_INVALID, "the image is blank: all of it has one grey value")
    return data


def _grey(path: Path) -> npt.NDArray[np.uint8] | None:
    """A picture that is grey in all but its mode (some of the sets' PNG files are RGBA or have a palette)."""
    from PIL import Image

    try:
        with Image.open(path) as image:
            channels = np.asarray(image.convert("RGBA")) if image.mode in ("RGBA", "P", "PA", "LA") else None
    except (OSError, SyntaxError, ValueError):
        return None
    if channels is None or channels[..., 3].min() < 255:
        return None
    red = channels[..., 0]
    return red.copy() if np.array_equal(red, channels[..., 1]) and np.array_equal(red, channels[..., 2]) else None


def planes_of_masks(case: Case, geometry: Geometry) -> Plane:
    """Left lung, right lung and heart on a grid: float32 (3, rows, columns), each cell's covered share in 0..1.

    They are placed as the plane is: `geometry` must have the fit of the plane's. What is neither outlined nor guessed
    is 0.

    Raises:
        DataError: UNREADABLE or MISSING_MASK.
    """
    found = np.zeros((3, geometry.rows, geometry.columns), np.float32)
    if case.masks is None:
        return found
    for index, mask in _organs(case, case.masks).items():
        found[index] = _reduced(mask, geometry)
    return found


def _reduced(mask: Mask, geometry: Geometry) -> Plane:
    rows, columns = mask.shape
    description = PixelDescription(rows=rows, columns=columns, bits_allocated=8, bits_stored=8, high_bit=7, voi=_FULL)
    return make_plane(mask.astype(np.uint8) * np.uint8(255), description, geometry)


def _organs(case: Case, source: MaskSource) -> dict[int, Mask]:
    """The masks by their place in `STRUCTURES`, at their own size."""
    found: dict[int, Mask] = {}
    if source.lungs is not None:
        found[0], found[1] = _parted(case, source.lungs, _mask(case, source.lungs))
    if source.lung_pair is not None:
        found[0], found[1] = _sided(case, source.lung_pair)
    if source.heart is not None:
        found[2] = _mask(case, source.heart)
    if source.guess_heart:
        found[2] = _expected_heart(case, found[0], found[1])
    return found


def _expected_heart(case: Case, left: Mask, right: Mask) -> Mask:
    """The heart that the shape model expects between two lungs. It ends where they begin."""
    from PIL import Image, ImageDraw

    from training.phantoms import heart_given_masks

    try:
        contour = heart_given_masks(left, right)
    except UsageError as error:
        raise _error(case, case.path, Problem.UNREADABLE, f"no heart can be guessed: {error.message}") from None
    rows, columns = left.shape
    picture = Image.new("1", (columns, rows))
    # Landmarks count from pixels' edges, Pillow from their centres.
    ImageDraw.Draw(picture).polygon([(x - 0.5, y - 0.5) for x, y in contour.tolist()], fill=1)
    return np.asarray(picture) & ~left & ~right


def _mask(case: Case, file: Path) -> Mask:
    from PIL import Image

    try:
        with Image.open(file) as image:
            values = np.asarray(image.convert("L"))
    except FileNotFoundError:
        raise _error(case, file, Problem.MISSING_MASK, "the mask is not there") from None
    except (OSError, SyntaxError, ValueError) as error:
        raise _error(case, file, Problem.UNREADABLE, f"not a picture: {type(error).__name__}") from None
    mask: Mask = values > values.max() // 2
    if values.min() == values.max():
        raise _error(case, file, Problem.UNREADABLE, "the mask is empty, or full")
    return mask


def _centre(mask: Mask) -> float:
    """The mean column of a mask."""
    columns = mask.sum(axis=0)
    return float((columns * np.arange(columns.size)).sum() / columns.sum())


def _sided(case: Case, files: tuple[Path, Path]) -> tuple[Mask, Mask]:
    """Left and right lung of two masks: the patient's left lies on the image's right, whatever the files are called."""
    one, other = (_mask(case, file) for file in files)
    if one.shape != other.shape:
        raise _error(case, files[0], Problem.UNREADABLE, "the masks of the lungs differ in size")
    if abs(_centre(one) - _centre(other)) < one.shape[1] / 10:
        raise _error(case, files[0], Problem.UNREADABLE, "both masks show the same lung")
    return (one, other) if _centre(one) > _centre(other) else (other, one)


def _parted(case: Case, file: Path, both: Mask) -> tuple[Mask, Mask]:
    """Left and right lung of one mask of both.

    The line between them is where the two groups of columns part best (Otsu 1979). A connected part goes to its side
    whole, so that a turned lung is not cut; only a part that lies well on both sides is.
    """
    from scipy import ndimage  # type: ignore[import-untyped]

    line = _between(both)
    labelled, count = ndimage.label(both)
    left = np.zeros_like(both)
    for number, box in enumerate(ndimage.find_objects(labelled), 1):
        part = labelled[box] == number
        columns = part.sum(axis=0)
        beyond = columns[max(0, line - box[1].start) :].sum() / columns.sum()
        view = left[box]
        if 0.1 < beyond < 0.9:
            part[:, : max(0, line - box[1].start)] = False
            view |= part
        elif beyond >= 0.9:
            view |= part
    right = both & ~left
    smaller, larger = sorted((int(left.sum()), int(right.sum())))
    if count < 1 or smaller < 0.05 * larger:
        raise _error(case, file, Problem.UNREADABLE, "the mask shows one lung, not two")
    return left, right


def _between(mask: Mask) -> int:
    """The first column of the right-hand group."""
    weight = mask.sum(axis=0).astype(np.float64)
    place = np.arange(weight.size)
    below, moment = np.cumsum(weight), np.cumsum(weight * place)
    above = below[-1] - below
    with np.errstate(divide="ignore", invalid="ignore"):
        spread = below * above * (moment / below - (moment[-1] - moment) / above) ** 2
    best = np.flatnonzero(spread == np.nanmax(spread))
    return int(best.mean()) + 1  # the middle of the gap, where all its columns part alike
