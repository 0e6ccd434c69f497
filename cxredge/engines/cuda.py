"""The few calls of NVIDIA's driver that TensorRT leaves to its caller: memory, copies, a stream.

Through ctypes, so no further package is needed; the library comes with the graphics driver itself. Names and numbers
are those of the CUDA driver API, which keeps them stable (the `_v2` calls are what its header maps to).
"""

from __future__ import annotations

import ctypes
import functools
import sys
from typing import Any

import numpy as np

from cxredge.engines import forks
from cxredge.engines.base import Array
from cxredge.errors import Code, EngineError

__all__ = ["Driver", "driver"]

_COMPUTE_MAJOR, _COMPUTE_MINOR = 75, 76  # CUdevice_attribute
_LIBRARY = "nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"


@functools.cache
def driver() -> Driver | None:
    """The driver, or None where there is none or it finds no GPU."""
    try:
        library = ctypes.CDLL(_LIBRARY)
    except OSError:
        return None
    found = Driver(library)
    return found if found.count else None


class Driver:
    """Device 0 by the driver's own primary context, which TensorRT uses too."""

    def __init__(self, library: Any) -> None:
        self._library = library
        self.count = 0
        if library.cuInit(0) != 0:
            return
        forks.at_work("tensorrt")
        count = ctypes.c_int()
        self._call("cuDeviceGetCount", ctypes.byref(count))
        self.count = count.value
        self._context = ctypes.c_void_p()

    def _call(self, name: str, *arguments: Any) -> None:
        status = getattr(self._library, name)(*arguments)
        if status != 0:
            code = Code.OUT_OF_MEMORY if status == 2 else Code.ENGINE_FAILED  # CUDA_ERROR_OUT_OF_MEMORY
            raise EngineError(code, f"{name} gave status {status}")

    def identity(self) -> str:
        """Name, compute capability and driver version: what a plan depends on."""
        name = ctypes.create_string_buffer(128)
        major, minor, version = ctypes.c_int(), ctypes.c_int(), ctypes.c_int()
        self._call("cuDeviceGetName", name, 128, 0)
        self._call("cuDeviceGetAttribute", ctypes.byref(major), _COMPUTE_MAJOR, 0)
        self._call("cuDeviceGetAttribute", ctypes.byref(minor), _COMPUTE_MINOR, 0)
        self._call("cuDriverGetVersion", ctypes.byref(version))
        return f"{name.value.decode('ascii', 'replace')}|sm{major.value}{minor.value}|driver {version.value}"

    def use(self) -> None:
        """Make the device's context current in this thread."""
        if not self._context:
            self._call("cuDevicePrimaryCtxRetain", ctypes.byref(self._context), 0)
        self._call("cuCtxSetCurrent", self._context)

    def stream(self) -> int:
        """A new stream's handle."""
        handle = ctypes.c_void_p()
        self._call("cuStreamCreate", ctypes.byref(handle), 1)  # CU_STREAM_NON_BLOCKING
        return handle.value or 0

    def allocate(self, size: int) -> int:
        """Device memory; its address."""
        address = ctypes.c_uint64()
        self._call("cuMemAlloc_v2", ctypes.byref(address), ctypes.c_size_t(size))
        return address.value

    def free(self, address: int) -> None:
        """Give device memory back."""
        self._call("cuMemFree_v2", ctypes.c_uint64(address))

    def upload(self, address: int, array: Array, stream: int) -> None:
        """Copy a C-contiguous array to the device, in the stream's order."""
        source = array.ctypes.data_as(ctypes.c_void_p)
        size = ctypes.c_size_t(array.nbytes)
        self._call("cuMemcpyHtoDAsync_v2", ctypes.c_uint64(address), source, size, ctypes.c_void_p(stream))

    def download(self, address: int, shape: tuple[int, ...], stream: int) -> Array:
        """Copy float32 values from the device; complete only after `wait`."""
        array = np.empty(shape, dtype=np.float32)
        target = array.ctypes.data_as(ctypes.c_void_p)
        size = ctypes.c_size_t(array.nbytes)
        self._call("cuMemcpyDtoHAsync_v2", target, ctypes.c_uint64(address), size, ctypes.c_void_p(stream))
        return array

    def wait(self, stream: int) -> None:
        """Until everything in the stream is done."""
        self._call("cuStreamSynchronize", ctypes.c_void_p(stream))

    def end_stream(self, stream: int) -> None:
        """Destroy a stream."""
        self._call("cuStreamDestroy_v2", ctypes.c_void_p(stream))
