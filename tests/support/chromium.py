"""A headless Chromium, driven over the DevTools protocol with nothing but the standard library.

The browser runs with a profile of its own in a temporary folder and is ended with the `with` block.
"""

from __future__ import annotations

import base64
import json
import os
import secrets
import shutil
import socket
import struct
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

PROGRAMS = ("chromium", "chromium-browser", "google-chrome", "chrome", "msedge")
LIMIT_SECONDS = 60.0

Json = dict[str, Any]

_MIDDLE = """selector => {
    const element = document.querySelector(selector);
    element.scrollIntoView({block: "nearest"});
    const box = element.getBoundingClientRect();
    return [box.x + box.width / 2, box.y + box.height / 2];
}"""


def find() -> str | None:
    """The program that `CXREDGE_CHROMIUM` names, or the first one on the path, or None."""
    return os.environ.get("CXREDGE_CHROMIUM") or next(filter(None, map(shutil.which, PROGRAMS)), None)


class Browser:
    """One running browser; `open` gives pages."""

    def __init__(self, program: str) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="cxredge-chromium-", ignore_cleanup_errors=True)
        sandbox = ["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []  # root has none to use
        self._process = subprocess.Popen(
            [
                program,
                "--headless",
                *sandbox,
                "--disable-gpu",
                "--disable-dev-shm-usage",
                "--no-first-run",
                "--disable-background-networking",
                "--disable-component-update",
                "--remote-debugging-port=0",
                f"--user-data-dir={self._folder.name}",
                "about:blank",
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            port, path = self._endpoint()
            self._socket = _WebSocket(port, path)
        except BaseException:
            self._end()
            raise
        self._last = 0
        self.events: list[Json] = []

    def _endpoint(self) -> tuple[int, str]:
        """The port and path that the browser writes down once it listens."""
        file = Path(self._folder.name) / "DevToolsActivePort"
        until = time.monotonic() + LIMIT_SECONDS
        while time.monotonic() < until:
            if self._process.poll() is not None:
                raise RuntimeError(f"the browser ended at once, with exit code {self._process.returncode}")
            lines = file.read_text(encoding="ascii").splitlines() if file.exists() else []
            if len(lines) == 2:
                return int(lines[0]), lines[1]
            time.sleep(0.05)
        raise TimeoutError("the browser does not listen")

    def call(self, method: str, session: str | None = None, /, **parameters: Any) -> Json:
        """Send one command and wait for its answer; events that come meanwhile are kept in `events`."""
        self._last += 1
        message = {"id": self._last, "method": method, "params": parameters}
        self._socket.send(json.dumps(message | ({"sessionId": session} if session else {})))
        while True:
            answer: Json = json.loads(self._socket.receive())
            if answer.get("id") != self._last:
                self.events.append(answer)
                continue
            if "error" in answer:
                raise RuntimeError(f"{method}: {answer['error']}")
            result: Json = answer["result"]
            return result

    def open(self, url: str, *, scripts: bool = True) -> Page:
        """A new page, loaded and at rest, with its network, console and log events recorded from the start."""
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        page = Page(self, session)
        for domain in ("Page", "Runtime", "Network", "Log"):
            page.call(f"{domain}.enable")
        if not scripts:
            page.call("Emulation.setScriptExecutionDisabled", value=True)
        page.call("Emulation.setDeviceMetricsOverride", width=1300, height=1600, deviceScaleFactor=1, mobile=False)
        page.call("Page.navigate", url=url)
        page.wait_for("Page.loadEventFired")
        return page

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()
        self._end()

    def _end(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._folder.cleanup()


class Page:
    """One tab."""

    def __init__(self, browser: Browser, session: str) -> None:
        self._browser = browser
        self._session = session

    def call(self, method: str, **parameters: Any) -> Json:
        """One command to this tab."""
        return self._browser.call(method, self._session, **parameters)

    def events(self, *methods: str) -> list[Json]:
        """The parameters of all events of these names, so far."""
        mine = (event for event in self._browser.events if event.get("sessionId") == self._session)
        return [event["params"] for event in mine if event["method"] in methods]

    def wait_for(self, method: str) -> None:
        """Until an event of that name has come."""
        until = time.monotonic() + LIMIT_SECONDS
        while not self.events(method):
            if time.monotonic() > until:
                raise TimeoutError(method)
            self.call("Runtime.getHeapUsage")  # any command: events come with its answer
            time.sleep(0.02)

    def evaluate(self, expression: str) -> Any:
        """The value of a JavaScript expression in the page, promises awaited; a JavaScript error raises."""
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer:
            raise RuntimeError(answer["exceptionDetails"]["text"])
        return answer["result"].get("value")

    def click(self, selector: str) -> None:
        """A real mouse click in the middle of the first element that matches."""
        x, y = self.evaluate(f"({_MIDDLE})({json.dumps(selector)})")
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def press(self, key: str, code: int) -> None:
        """A key on the keyboard, by its DOM name and its Windows virtual key code."""
        for kind in ("keyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code)

    def pdf(self) -> bytes:
        """The page as it would be printed, on A4 by its own rules."""
        return base64.b64decode(self.call("Page.printToPDF", preferCSSPageSize=True, printBackground=False)["data"])

    def screenshot(self) -> bytes:
        """What is seen, as PNG."""
        return base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"])

    def problems(self) -> list[str]:
        """Whatever the browser complained of: exceptions, console errors and warnings, blocked loads."""
        texts = [event["exceptionDetails"]["text"] for event in self.events("Runtime.exceptionThrown")]
        calls = self.events("Runtime.consoleAPICalled")
        texts += [str(event["args"]) for event in calls if event["type"] in {"error", "warning", "assert"}]
        return texts + [event["entry"]["text"] for event in self.events("Log.entryAdded")]

    def requests(self) -> list[str]:
        """The address of everything that was asked for."""
        return [event["request"]["url"] for event in self.events("Network.requestWillBeSent")]


class _WebSocket:
    """A WebSocket client (RFC 6455) for whole text messages."""

    def __init__(self, port: int, path: str) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=LIMIT_SECONDS)
        key = base64.b64encode(secrets.token_bytes(16)).decode("ascii")
        self._socket.sendall(
            f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode("ascii")
        )
        self._stream = self._socket.makefile("rb")
        if b" 101 " not in self._stream.readline():
            raise ConnectionError("the browser refused the WebSocket")
        while self._stream.readline() not in (b"\r\n", b""):
            pass

    def send(self, text: str) -> None:
        payload, mask = text.encode("utf-8"), secrets.token_bytes(4)
        size = len(payload)
        length = bytes([0x80 | size]) if size < 126 else b"\xfe" + struct.pack(">H", size)
        if size > 0xFFFF:
            length = b"\xff" + struct.pack(">Q", size)
        masked = bytes(byte ^ mask[index % 4] for index, byte in enumerate(payload))
        self._socket.sendall(b"\x81" + length + mask + masked)

    def receive(self) -> str:
        message = b""
        while True:
            first, second = self._read(2)
            size = second & 0x7F
            if size >= 126:
                size = int.from_bytes(self._read(2 if size == 126 else 8), "big")
            payload = self._read(size)
            kind = first & 0x0F
            if kind == 8:
                raise ConnectionError("the browser closed the connection")
            if kind in (0, 1):  # text, or its continuation; pings need no answer here
                message += payload
                if first & 0x80:
                    return message.decode("utf-8")

    def _read(self, size: int) -> bytes:
        data = self._stream.read(size)
        if len(data) != size:
            raise ConnectionError("the browser went away")
        return data

    def close(self) -> None:
        self._stream.close()
        self._socket.close()
