"""The golden input and output of a bundle: what the graph gave where it was sealed."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cxredge.errors import BundleError, Code

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Array = npt.NDArray[np.float32]

__all__ = ["Golden", "read_npy"]


@dataclass(frozen=True, slots=True, eq=False)
class Golden:
    """A batch for the graph's `image`, and what must come out of it.

    `tolerance` is absolute, by precision and output.
    """

    input: Array
    outputs: Mapping[str, Array]
    tolerance: Mapping[str, Mapping[str, float]]

    def check(self, outputs: Mapping[str, Array], precision: str) -> dict[str, float]:
        """Compare an engine's outputs on `input` with the golden ones; gives the largest difference by output.

        Raises:
            BundleError: BUNDLE_GOLDEN where one is further off than the bundle allows for that precision, or where
                the bundle allows nothing because it was never sealed for it.
        """
        import numpy as np

        allowed = self.tolerance.get(precision)
        if allowed is None:
            raise BundleError(Code.BUNDLE_GOLDEN, f"the bundle gives no tolerance for {precision}")
        off: dict[str, float] = {}
        for name, wanted in self.outputs.items():
            got = outputs.get(name)
            if got is None or got.shape != wanted.shape:
                raise BundleError(Code.BUNDLE_GOLDEN, f"{name} is missing or has another shape")
            off[name] = float(np.abs(got.astype(np.float64) - wanted).max())
            if not off[name] <= allowed[name]:
                raise BundleError(
                    Code.BUNDLE_GOLDEN, f"{name} is off by {off[name]:.3g} at {precision}, {allowed[name]:.3g} allowed"
                )
        return off


def read_npy(data: bytes, name: str, shape: tuple[int | None, ...]) -> Array:
    """The float32 array of an `.npy` file, read without ever unpickling.

    Args:
        data: the file.
        name: its name, for messages.
        shape: what it must have; None stands for any length.

    Raises:
        BundleError: BUNDLE_PICKLE for an array of Python objects, BUNDLE_INVALID for anything else.
    """
    import numpy as np

    header, start = _npy_header(data, name)
    if header.get("descr") != "<f4" or header.get("fortran_order") is not False:
        raise BundleError(Code.BUNDLE_INVALID, f"{name} is not little-endian float32 in C order")
    got = header.get("shape")
    if not isinstance(got, tuple) or not all(type(axis) is int and axis > 0 for axis in got):
        raise BundleError(Code.BUNDLE_INVALID, f"{name} has no usable shape")
    if len(got) != len(shape) or any(want not in (None, axis) for want, axis in zip(shape, got, strict=True)):
        raise BundleError(Code.BUNDLE_INVALID, f"{name} has the shape {got}")
    count = 1
    for axis in got:
        count *= axis
    if len(data) - start != 4 * count:
        raise BundleError(Code.BUNDLE_INVALID, f"{name} is longer or shorter than its shape says")
    array = np.frombuffer(data, dtype="<f4", offset=start).reshape(got)
    if not np.isfinite(array).all():
        raise BundleError(Code.BUNDLE_INVALID, f"{name} holds values that are not finite")
    return array.astype(np.float32, copy=False)


def _npy_header(data: bytes, name: str) -> tuple[dict[str, Any], int]:
    """The header's dictionary and where the data starts (NumPy's NEP 1, versions 1 to 3)."""
    broken = BundleError(Code.BUNDLE_INVALID, f"{name} is not an .npy file")
    if data[:6] != b"\x93NUMPY" or data[6:7] not in (b"\1", b"\2", b"\3"):
        raise broken
    width = 2 if data[6] == 1 else 4
    start = 8 + width + int.from_bytes(data[8 : 8 + width], "little")
    if start > min(len(data), 10_000):
        raise broken
    text = data[8 + width : start].decode("latin-1")
    try:
        header = ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        raise broken from None
    if not isinstance(header, dict):
        raise broken
    if "O" in str(header.get("descr")):
        raise BundleError(Code.BUNDLE_PICKLE, f"{name} is an array of Python objects")
    return header, start
