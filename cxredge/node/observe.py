"""`/metrics`, `/healthz` and `/readyz`: an HTTP server that can do nothing else, and that nobody can fill up."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Self

from cxredge.errors import Code, UsageError
from cxredge.node.config import Observed
from cxredge.node.exposition import CONTENT_TYPE

__all__ = ["Observatory"]

MOST_CONNECTIONS = 16
"""At once; a further one is closed without a word."""
LONGEST_HEAD = 8192
SECONDS = 5.0
"""For a client to say what it wants, and again to take the answer."""

_TEXT = "text/plain; charset=utf-8"
_REASONS = {
    200: "OK",
    400: "Bad Request",
    404: "Not Found",
    405: "Method Not Allowed",
    500: "Internal Server Error",
    503: "Service Unavailable",
}


class Observatory:
    """The server, in a thread of its own."""

    def __init__(self, where: Observed, metrics: Callable[[], str], ready: Callable[[], dict[str, str]]) -> None:
        """Port 0 makes it do nothing.

        Args:
            where: address and port.
            metrics: the text of `/metrics`.
            ready: what must hold for `/readyz`, by name: "yes", or why not.
        """
        self._where = where
        self._metrics, self._ready = metrics, ready
        self._loop = asyncio.new_event_loop()
        self._open = 0
        self._thread: threading.Thread | None = None

    def start(self) -> Self:
        """Listen from now on.

        Raises:
            UsageError: NODE_ADDRESS.
        """
        if self._where.port == 0:
            return self
        start = asyncio.start_server(self._client, self._where.address, self._where.port, limit=LONGEST_HEAD)
        try:
            self._server = self._loop.run_until_complete(start)
        except OSError as error:
            self._loop.close()
            detail = f"metrics: {self._where.address} port {self._where.port}: {error.strerror}"
            raise UsageError(Code.NODE_ADDRESS, detail) from None
        self._thread = threading.Thread(target=self._loop.run_forever, name="metrics", daemon=True)
        self._thread.start()
        return self

    def stop(self) -> None:
        """Close it at once: who was being answered asks again."""
        if self._thread is None:
            self._loop.close()
            return
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(SECONDS)
        self._server.close()
        for task in asyncio.all_tasks(self._loop):
            task.cancel()
        with suppress(RuntimeError):
            self._loop.run_until_complete(asyncio.sleep(0))
            self._loop.run_until_complete(self._loop.shutdown_default_executor())
        self._loop.close()

    async def _client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._open >= MOST_CONNECTIONS:
            writer.transport.abort()
            return
        self._open += 1
        try:
            async with asyncio.timeout(SECONDS):
                head = await reader.readuntil(b"\r\n\r\n")
            status, kind, body = await asyncio.to_thread(self._answer, head)
            async with asyncio.timeout(SECONDS):
                writer.write(_response(status, kind, body, whole=not head.startswith(b"HEAD ")))
                await writer.drain()
                writer.close()
                await writer.wait_closed()
        except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass  # too slow, too long, or gone
        finally:
            self._open -= 1
            writer.transport.abort()

    def _answer(self, head: bytes) -> tuple[int, str, str]:
        words = head.split(b"\r\n", 1)[0].split(b" ")
        if len(words) != 3 or not words[2].startswith(b"HTTP/1."):
            return 400, _TEXT, "what is that?\n"
        if words[0] not in (b"GET", b"HEAD"):
            return 405, _TEXT, "GET\n"
        try:
            return self._page(words[1].split(b"?", 1)[0])
        except Exception as error:  # the type alone: this is read by whoever may ask
            return 500, _TEXT, f"{type(error).__name__}\n"

    def _page(self, path: bytes) -> tuple[int, str, str]:
        if path == b"/metrics":
            return 200, CONTENT_TYPE, self._metrics()
        if path == b"/healthz":
            return 200, _TEXT, "alive\n"
        if path == b"/readyz":
            parts = self._ready()
            text = "".join(f"{name} {holds}\n" for name, holds in parts.items())
            return (200 if set(parts.values()) <= {"yes"} else 503), _TEXT, text
        return 404, _TEXT, "/metrics /healthz /readyz\n"


def _response(status: int, kind: str, text: str, *, whole: bool) -> bytes:
    body = text.encode()
    head = (
        f"HTTP/1.1 {status} {_REASONS[status]}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n"
        "Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + (body if whole else b"")
