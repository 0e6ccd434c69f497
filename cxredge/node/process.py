"""The node's side of a worker process: start it, ask it, watch its time and its memory, and end it."""

from __future__ import annotations

import queue
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import IO, cast

from cxredge.engines.isolation import child_process, end_tree
from cxredge.errors import Code
from cxredge.node import messages
from cxredge.node.messages import Answer, Order, Setup

__all__ = ["Ended", "WorkerProcess"]

_LOOKS_EVERY = 0.05
"""Seconds between two looks at a worker's memory: it may take a little more than its share in between."""


class Ended(Exception):  # noqa: N818 - what became of a worker
    """A worker is no more. `code` is one of the errors, or None where it was ended because the node stops."""

    def __init__(self, code: Code | None, reason: str = "") -> None:
        super().__init__(code, reason)
        self.code = code
        self.reason = reason


class WorkerProcess:
    """A running worker. The thread that makes it must outlive it: on Linux it ends when that thread does."""

    def __init__(self, setup: Setup, memory_bytes: int) -> None:
        """Start it; its first answer says whether the model is loaded.

        Raises:
            OSError: the system has no process to give.
        """
        command, options = child_process("cxredge.node.worker")
        self._process = subprocess.Popen(  # noqa: S603 - our own module
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, **options
        )
        self._memory = memory_bytes
        self._answers: queue.SimpleQueue[Answer | None] = queue.SimpleQueue()
        threading.Thread(target=self._listen, name="worker answers", daemon=True).start()
        with suppress(OSError):  # its end is told by `answer`
            messages.write(self._orders, setup)

    @property
    def pid(self) -> int:
        """The process."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self._process.poll() is None

    @property
    def _orders(self) -> IO[bytes]:
        return cast("IO[bytes]", self._process.stdin)

    def order(self, image: str) -> None:
        """Tell it to analyse an image.

        Raises:
            OSError: it had ended before.
        """
        messages.write(self._orders, Order(image=image))

    def answer(self, seconds: float, given_up: Callable[[], bool]) -> Answer:
        """Wait for its answer.

        Args:
            seconds: how long; after that it is ended.
            given_up: asked again and again; True ends it.

        Raises:
            Ended: WORKER_TIMEOUT, OUT_OF_MEMORY, WORKER_CRASHED; nothing of the worker is left.
        """
        until = time.monotonic() + seconds
        while True:
            with suppress(queue.Empty):
                answer = self._answers.get(timeout=_LOOKS_EVERY)
                if answer is None:
                    raise self._crash()
                return answer
            if given_up():
                self.end()
                raise Ended(None)
            if time.monotonic() > until:
                self.end()
                raise Ended(Code.WORKER_TIMEOUT, f"{seconds:g} seconds were not enough")
            if _memory_of(self.pid) > self._memory:
                self.end()
                raise Ended(Code.OUT_OF_MEMORY, f"it took more than {self._memory >> 20} MB")

    def end(self) -> None:
        """End it at once, with all that it has started."""
        end_tree(self._process)
        with suppress(OSError):
            self._orders.close()

    def _listen(self) -> None:
        """Pass on its answers, and None at their end. What is no answer is the end of the trust in it."""
        with suppress(Exception), cast("IO[bytes]", self._process.stdout) as stream:
            while (message := messages.read(stream)) is not None:
                self._answers.put(cast("Answer", message))
        self._answers.put(None)

    def _crash(self) -> Ended:
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(5)
        self.end()
        code = self._process.returncode
        if code >= 0:
            return Ended(Code.WORKER_CRASHED, f"it ended with code {code}")
        with suppress(ValueError):
            return Ended(Code.WORKER_CRASHED, f"it was ended by {signal.Signals(-code).name}")
        return Ended(Code.WORKER_CRASHED, f"it was ended by signal {-code}")


def _memory_of(pid: int) -> int:
    """Bytes that a process takes of memory and swap; 0 where the system does not tell (it is Linux that does).

    What is really taken is watched, in place of a limit on its addresses (RLIMIT_AS, RLIMIT_DATA): engines reserve far
    more than they touch, and a C++ library that is refused memory ends by abort, which would be told as a crash.
    """
    try:
        lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    except (OSError, ValueError):
        return 0
    return sum(int(line.split()[1]) << 10 for line in lines if line.startswith(("VmRSS:", "VmSwap:")))
