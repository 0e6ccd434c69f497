"""Writes the C source of the cffi binding (API mode) from the one public header: `build_binding.py HEADER OUTPUT.c`.

The declarations are read off `cxredge.h`, so that the header stays the only place where they are written.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

import cffi

MODULE = "cxredge.native._binding"


def declarations(header: str) -> str:
    """What cffi must know of the header: its types and functions, without comments and preprocessor."""
    text = re.sub(r"/\*.*?\*/", "", header, flags=re.DOTALL)
    statuses = re.findall(r"X\((CXR_\w+), (\d+),", text)
    if not statuses:
        raise SystemExit("no CXR_STATUSES in the header")
    text = text.replace("\\\n", " ")
    text = re.sub(r"^[ \t]*#.*$", "", text, flags=re.MULTILINE)
    text = text.replace("CXR_STATUSES(CXR_STATUS_ENUM)", "".join(f"{name} = {number}, " for name, number in statuses))
    text = re.sub(r'extern "C" \{|^\}$', "", text, flags=re.MULTILINE).replace("CXR_API ", "")
    return f"#define CXR_ABI ...\n{text}"


def main(header: Path, output: Path) -> None:
    """Writes `output`, the binding's source; the compiler checks it against the header itself."""
    ffi = cffi.FFI()
    ffi.cdef(declarations(header.read_text(encoding="utf-8")))
    ffi.set_source(MODULE, '#include "cxredge.h"')
    ffi.emit_c_code(str(output))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
