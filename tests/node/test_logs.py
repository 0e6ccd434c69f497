"""A node's log: lines that a machine reads, that nobody can fill, and that nobody's slowness holds up."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import threading
import time

from cxredge.node.events import Event
from cxredge.node.logs import Logs


def lines_of(stream: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_line_is_an_object_with_time_level_event_and_facts() -> None:
    stream = io.StringIO()
    logs = Logs(stream)
    logs(Event.RECEIVED, image="ab" * 16, sender="MODALITY 1", bytes=11_000_000, seconds=0.25)
    logs(Event.PARKED, image="ab" * 16, code="worker_timeout")
    logs(Event.WORKER_ENDED, code="stopped")
    logs.close()
    first, second, third = lines_of(stream)
    assert str(first.pop("time")).endswith("Z")
    expected = {"image": "ab" * 16, "sender": "MODALITY 1", "bytes": 11_000_000, "seconds": 0.25}
    assert first == {"level": "info", "event": "received"} | expected
    assert (second["level"], second["code"]) == ("error", "worker_timeout")
    assert third["level"] == "info"


def test_what_is_not_plain_is_not_written() -> None:
    """No caller should pass such a fact; if one does, it does not reach the log."""
    stream = io.StringIO()
    logs = Logs(stream)
    for value in ("Müller^Zoë", "1.2.826.0.1.3680043.8.498.1", "two\nlines", "x" * 65, ""):
        logs(Event.FAILED, code=value)
    logs(Event.FAILED, code="KeyError", seconds=float("nan"))
    logs.close()
    assert [line["code"] for line in lines_of(stream)] == ["?"] * 5 + ["KeyError"]


def test_a_flood_of_refusals_is_counted_not_written() -> None:
    stream = io.StringIO()
    logs = Logs(stream)
    for _ in range(5000):
        logs(Event.CONNECTION_REFUSED, code="title")
    logs(Event.SENT, image="ab" * 16, destination="pacs")
    logs.close()
    lines = lines_of(stream)
    assert len(lines) < 200
    assert lines[-1]["event"] == "sent"
    assert lines[-1]["lines_left_out"] == 5000 - (len(lines) - 1)


def test_a_reader_that_stands_still_holds_up_nobody() -> None:
    class Stuck(io.StringIO):
        def write(self, text: str) -> int:
            free.wait(60)
            return super().write(text)

    free = threading.Event()
    stream = Stuck()
    logs = Logs(stream)
    started = time.monotonic()
    for _ in range(2 * Logs.LONGEST):
        logs(Event.SENT, image="ab" * 16, destination="pacs")
    assert time.monotonic() - started < 30  # it would be forever
    free.set()
    while not logs._lines.empty():
        time.sleep(0.01)
    logs(Event.STOPPED)
    logs.close(30)
    last = lines_of(stream)[-1]
    assert last["event"] == "stopped"
    assert int(str(last["lines_left_out"])) >= Logs.LONGEST - 2


def test_uncaught_exceptions_and_libraries_say_nothing_of_their_own() -> None:
    """A traceback's text may quote a file: only its type is told, whichever thread it ends."""
    program = (
        "import sys, threading, logging\n"
        "from cxredge.node.logs import Logs, own_last_words, silence_libraries\n"
        "silence_libraries(); logs = Logs(sys.stderr); own_last_words(logs)\n"
        "logging.getLogger('pynetdicom.acse').error('CANARY in a library')\n"
        "def work(): raise ValueError('CANARY in a thread')\n"
        "thread = threading.Thread(target=work); thread.start(); thread.join()\n"
        "class Bad:\n    def __del__(self): raise KeyError('CANARY in a finaliser')\n"
        "Bad()\n"
        "def tail():\n    import time; time.sleep(0.5)\n"
        "threading.Thread(target=tail).start()\n"
        "raise RuntimeError('CANARY in the process')\n"
    )
    done = subprocess.run([sys.executable, "-P", "-c", program], capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert "CANARY" not in done.stdout + done.stderr
    codes = [json.loads(line)["code"] for line in done.stderr.splitlines()]
    assert codes == ["ValueError", "KeyError", "RuntimeError"]
