"""A child process that ends when its parent does, however that ends."""

from __future__ import annotations

import ctypes
import os
import signal
import sys

__all__ = ["end_with"]

_PR_SET_PDEATHSIG = 1


def end_with(parent: int) -> None:
    """Let the kernel end this process when the parent's thread that started it ends, killed or not. Linux alone can.

    Args:
        parent: its process identifier; where that has ended already, so does this process.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)
