"""The little HTTP server: three pages, and nobody who can hold it up."""

from __future__ import annotations

import contextlib
import socket
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest

from cxredge.errors import Code, UsageError
from cxredge.node import observe
from cxredge.node.config import Observed
from cxredge.node.observe import Observatory
from tests.support.orthanc import free_ports


class Served:
    def __init__(self) -> None:
        self.state = {"receiving": "yes", "analysing": "no"}
        self.port = free_ports(1)[0]

    def metrics(self) -> str:
        if self.state.get("broken"):
            raise RuntimeError("CANARY")
        return "# HELP a_total A.\n# TYPE a_total counter\na_total 1\n"

    def get(self, path: str) -> tuple[int, str]:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=60) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def raw(self, sent: bytes) -> bytes:
        with socket.create_connection(("127.0.0.1", self.port), 60) as channel:
            channel.sendall(sent)
            with contextlib.suppress(ConnectionError):
                return b"".join(iter(lambda: channel.recv(65536), b""))
        return b""


@pytest.fixture
def served() -> Iterator[Served]:
    one = Served()
    server = Observatory(Observed(port=one.port), one.metrics, lambda: one.state).start()
    yield one
    server.stop()


def test_the_pages(served: Served) -> None:
    assert served.get("/metrics?x=1")[0] == 200
    assert served.get("/metrics")[1].endswith("a_total 1\n")
    assert served.get("/healthz") == (200, "alive\n")
    assert served.get("/readyz") == (503, "receiving yes\nanalysing no\n")
    served.state["analysing"] = "yes"
    assert served.get("/readyz")[0] == 200
    assert served.get("/etc/passwd")[0] == 404
    assert served.raw(b"POST /metrics HTTP/1.1\r\n\r\n").startswith(b"HTTP/1.1 405 ")
    assert served.raw(b"HEAD /metrics HTTP/1.1\r\n\r\n").endswith(b"\r\n\r\n")
    assert served.raw(b"\0\xff nonsense\r\n\r\n").startswith(b"HTTP/1.1 400 ")


def test_a_defect_is_an_answer_without_its_text(served: Served) -> None:
    served.state["broken"] = "yes"
    assert served.get("/metrics") == (500, "RuntimeError\n")
    assert served.get("/healthz")[0] == 200


def test_floods_and_slow_clients(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sixteen silent sockets fill it; further ones are closed at once; then time is up for the sixteen."""
    monkeypatch.setattr(observe, "SECONDS", 2.0)
    with contextlib.ExitStack() as opened:
        idle = [opened.enter_context(socket.create_connection(("127.0.0.1", served.port), 60)) for _ in range(100)]
        for one in idle:
            one.settimeout(60)
        ended = []
        for one in idle:
            with contextlib.suppress(ConnectionError):
                ended.append(one.recv(1))
        assert not any(ended)  # every one of them was closed without an answer
    assert served.get("/healthz")[0] == 200
    assert served.raw(b"GET /metrics HTTP/1.1\r\n" + b"X: y\r\n" * 100_000) == b""  # a head without end
    assert served.get("/healthz")[0] == 200


def test_many_at_once_are_answered_or_closed(served: Served) -> None:
    answers: list[int] = []

    def ask() -> None:
        with contextlib.suppress(OSError):
            answers.append(served.get("/metrics")[0])

    threads = [threading.Thread(target=ask) for _ in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert answers
    assert set(answers) == {200}


def test_an_address_that_is_taken(served: Served) -> None:
    with pytest.raises(UsageError) as raised:
        Observatory(Observed(port=served.port), served.metrics, dict).start()
    assert raised.value.code == Code.NODE_ADDRESS


def test_port_0_serves_nothing() -> None:
    server = Observatory(Observed(port=0), str, dict).start()
    server.stop()
