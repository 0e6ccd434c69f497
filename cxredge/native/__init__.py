"""The C core as Python sees it: the library, its statuses as exceptions, and where its header lies.

`lib` and `ffi` are cffi's; what each function does is written in `cxredge.h` (see :func:`include_dir`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cxredge.errors import Code, InputError, NativeError

try:
    import cxredge.native._binding as _binding
except ImportError as error:
    raise NativeError(Code.NATIVE_MISMATCH, f"the compiled part cannot be loaded: {error}") from error

__all__ = ["check", "ffi", "include_dir", "isa", "lib", "version"]

lib: Any = _binding.lib
ffi: Any = _binding.ffi

# These are about the pixels that came in; everything else is about how the core was called.
_OF_THE_INPUT = frozenset({Code.TOO_LARGE, Code.PIXELS_TRUNCATED, Code.PIXELS_DISAGREE_WITH_TAGS})


def check(status: int) -> None:
    """Does nothing for CXR_OK, and raises what any other status of the C core means.

    Raises:
        InputError: the pixels are too few, too many, or exceed the limits of size.
        NativeError: everything else; `code` is the status's own (`cxr_status_code`).
    """
    if status == lib.CXR_OK:
        return
    code = Code(_text(lib.cxr_status_code(status)))
    error = InputError if code in _OF_THE_INPUT else NativeError
    raise error(code, _text(lib.cxr_status_text(status)))


def isa() -> str:
    """Which variant of the inner loops runs now: "plain", "avx2", "avx512" or "neon"; all give the same bits.

    The environment variable CXREDGE_ISA forces one.

    Raises:
        NativeError: CXREDGE_ISA names a variant that is unknown, or that this machine cannot run.
    """
    name = ffi.new("char const **")
    check(lib.cxr_isa(name))
    return _text(name[0])


def version() -> str:
    """The version of the C core that is loaded."""
    return _text(lib.cxr_version())


def include_dir() -> Path:
    """The folder that holds `cxredge.h`, for a C host that compiles against this installation."""
    return Path(__file__).with_name("include")


def _text(value: Any) -> str:
    return str(ffi.string(value).decode("ascii"))


if lib.cxr_abi() != lib.CXR_ABI:
    raise NativeError(Code.NATIVE_MISMATCH, f"the core has interface {lib.cxr_abi()}, not {lib.CXR_ABI}")
