"""Who may connect, what each may take, and that whoever takes too much hurts no one else."""

from __future__ import annotations

import socket
import struct
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from cxredge.node.admission import Admission, Guest, address_of
from cxredge.node.config import Limits, NodeConfig, Sender
from cxredge.node.events import Event
from cxredge.node.wire import Reject
from tests.support.filed import tool
from tests.support.node_child import node_child, write_config
from tests.support.receiving import await_true, receiving
from tests.support.scu import (
    DX,
    EXPLICIT,
    AbortedError,
    RejectedError,
    Scu,
    command,
    data_pdus,
    dial,
    item,
    pdu,
    request,
    small_dx,
    store_message,
)

UID = "1.2.826.0.1.3680043.8.498.80"
MEGABYTE = 1 << 20
SENDERS = (
    Sender(ae_title="HERE"),
    Sender(ae_title="ONE", addresses=("127.0.0.9",)),
    Sender(ae_title="NET", addresses=("10.0.0.0/8", "127.0.8.0/24")),
    Sender(ae_title="FAR", addresses=("10.0.0.0/8", "2001:db8::/32")),
)


@pytest.mark.parametrize(
    ("called", "calling", "source", "rejected"),
    [
        ("CXREDGE", "HERE", "127.0.0.1", None),
        ("CXREDGE", "HERE", "127.9.9.9", None),
        ("CXREDGE", "ONE", "127.0.0.9", None),
        ("CXREDGE", "NET", "127.0.8.200", None),
        ("CXREDGE", "ONE", "127.0.0.1", (1, 1, 3)),
        ("CXREDGE", "NET", "127.0.9.1", (1, 1, 3)),
        ("CXREDGE", "FAR", "127.0.0.1", (1, 1, 3)),
        ("CXREDGE", "here", "127.0.0.1", (1, 1, 3)),
        ("CXREDGE", "", "127.0.0.1", (1, 1, 3)),
        ("CXREDGE", "HERE AND THERE", "127.0.0.1", (1, 1, 3)),
        ("CXREDG", "HERE", "127.0.0.1", (1, 1, 7)),
        ("ANY-SCP", "HERE", "127.0.0.1", (1, 1, 7)),
        ("", "HERE", "127.0.0.1", (1, 1, 7)),
    ],
)
def test_who_may(called: str, calling: str, source: str, rejected: tuple[int, ...] | None, tmp_path: Path) -> None:
    with receiving(tmp_path, senders=SENDERS) as node:
        if rejected is None:
            scu = Scu.connect(node.port, called, calling, source=source)
            assert scu.echo() == 0
            scu.release()
            return
        with pytest.raises(RejectedError) as caught:
            Scu.connect(node.port, called, calling, source=source)
        assert caught.value.args == rejected
        node.await_codes(Event.CONNECTION_REFUSED, "title")


def test_nobody_may_unless_named(tmp_path: Path) -> None:
    with receiving(tmp_path, senders=()) as node:
        with pytest.raises(RejectedError) as caught:
            Scu.connect(node.port)
        assert caught.value.args == (1, 1, 3)
        node.await_codes(Event.CONNECTION_REFUSED, "address")


def test_a_stranger_s_request_is_not_even_read(tmp_path: Path) -> None:
    with receiving(tmp_path, senders=SENDERS[1:2]) as node:
        connection = dial(node.port)
        connection.sendall(pdu(1, bytes(100_000))[:6])  # its header alone: the answer comes without the rest
        assert connection.recv(100) == bytes((3, 0, 0, 0, 0, 4, 0, 1, 1, 3))
        connection.close()
        node.await_codes(Event.CONNECTION_REFUSED, "address")


def test_dcmtk_is_told_why(tmp_path: Path) -> None:
    with receiving(tmp_path, senders=SENDERS[1:]) as node:
        asked = [tool("echoscu"), "-aet", "ONE", "-aec", "CXREDGE", "127.0.0.1", str(node.port)]
        done = subprocess.run(asked, capture_output=True, text=True, timeout=60)
        assert done.returncode != 0
        assert "Calling AE Title Not Recognized" in done.stderr


def test_addresses() -> None:
    assert str(address_of(("::ffff:10.1.2.3", 1, 0, 0))) == "10.1.2.3"
    assert str(address_of(("fe80::1%eth0", 1, 0, 2))) == "fe80::1"
    admission = Admission(NodeConfig(spool=Path(), senders=SENDERS))
    assert admission.knows(address_of(("2001:db8::5", 1, 0, 0)))
    assert not admission.knows(address_of(("2001:db9::5", 1, 0, 0)))
    assert admission.sender("CXREDGE", "FAR", address_of(("10.3.4.5", 1))) == SENDERS[3]
    assert admission.sender("CXREDGE", "FAR", address_of(("11.3.4.5", 1))) is Reject.CALLING_TITLE


def guest(address: str, log: list[str]) -> Guest:
    return Guest(address_of((address, 1)), lambda: log.append(address))


def test_an_ipv6_host_is_counted_by_its_network() -> None:
    gone: list[str] = []
    limits = Limits(connections=10, connections_an_address=2)
    admission = Admission(NodeConfig(spool=Path(), senders=SENDERS, limits=limits))
    first = [guest(f"2001:db8::{number}", gone) for number in range(3)]
    assert all(admission.enter(one) for one in first)
    assert gone == ["2001:db8::0"]
    assert admission.enter(guest("2001:db8:0:1::1", gone))
    assert len(admission.guests()) == 3


def test_who_has_an_association_keeps_its_place() -> None:
    gone: list[str] = []
    limits = Limits(connections=3, connections_an_address=2)
    admission = Admission(NodeConfig(spool=Path(), senders=SENDERS, limits=limits))
    settled, idle, other = guest("10.0.0.1", gone), guest("10.0.0.1", gone), guest("10.0.0.2", gone)
    for one in (settled, idle, other):
        assert admission.enter(one)
    assert admission.settle(settled)
    assert admission.settle(other)
    assert admission.enter(guest("10.0.0.3", gone))  # the idle one gives way
    assert gone == ["10.0.0.1"]
    assert not admission.settle(idle)
    assert all(admission.settle(one) for one in admission.guests())
    assert not admission.enter(guest("10.0.0.4", gone))
    admission.leave(other)
    assert admission.enter(guest("10.0.0.4", gone))


def test_associations_beyond_the_limit_are_rejected_for_now(tmp_path: Path) -> None:
    with receiving(tmp_path, connections=3, connections_an_address=2) as node:
        held = [Scu.connect(node.port), Scu.connect(node.port), Scu.connect(node.port, source="127.0.0.2")]
        for source in ("127.0.0.1", "127.0.0.2", "127.0.0.3"):
            with pytest.raises((RejectedError, ConnectionError)) as caught:
                Scu.connect(node.port, source=source)
            assert caught.value.args == (2, 3, 2) or isinstance(caught.value, ConnectionError)
        assert node.codes(Event.CONNECTION_REFUSED) == ["limit"] * 3
        assert [scu.echo() for scu in held] == [0, 0, 0]
        held[0].release()
        await_true(lambda: len(node.codes(Event.ASSOCIATION_ENDED)) == 1)
        await_true(lambda: _echoes(node.port))


def _echoes(port: int) -> bool:
    try:
        scu = Scu.connect(port)
    except (RejectedError, ConnectionError):
        return False
    return scu.echo() == 0


def test_images_a_minute(tmp_path: Path) -> None:
    with receiving(tmp_path, images_a_minute=3) as node:
        scu = Scu.connect(node.port)
        statuses = [scu.store(f"{UID}.{number}", small_dx(f"{UID}.{number}")) for number in range(5)]
        assert statuses[:3] == [0, 0, 0]
        assert 0xA702 in statuses
        other = Scu.connect(node.port, calling="STORESCU")
        assert other.store(UID, small_dx(UID)) == 0  # each sender has its own
        assert "rate" in node.codes(Event.STORE_REFUSED)
        assert node.nothing_left()


def test_a_rate_is_refilled() -> None:
    limits = Limits(images_a_minute=6000)
    admission = Admission(NodeConfig(spool=Path(), senders=SENDERS, limits=limits))
    taken = 0
    while admission.may_store(SENDERS[0]):
        taken += 1
    assert taken >= 6000
    time.sleep(0.05)
    assert admission.may_store(SENDERS[0])


def test_an_instance_over_the_limit_is_refused_and_the_next_is_not(tmp_path: Path) -> None:
    with receiving(tmp_path, instance_mb=1) as node:
        scu = Scu.connect(node.port)
        assert scu.store(UID, small_dx(UID, MEGABYTE + 1000)) == 0xA703
        assert scu.store(UID, small_dx(UID, MEGABYTE - 1000)) == 0
        node.await_codes(Event.STORE_REFUSED, "too_large")
        assert node.nothing_left()


def test_a_data_set_without_an_end_is_cut_off(tmp_path: Path) -> None:
    with receiving(tmp_path, instance_mb=1) as node:
        scu = Scu.connect(node.port)
        scu.send(data_pdus(3, 1, command(e0002=DX, e0100=1, e0110=1, e0800=0, e1000=UID), 16384))
        piece = struct.pack(">BxLLBB", 4, 10_006, 10_002, 3, 0) + bytes(10_000)
        with pytest.raises((AbortedError, ConnectionError)):
            for _ in range(1000):
                scu.send(piece)
            scu.status()
        node.await_codes(Event.ASSOCIATION_ENDED, "pdu")
        assert node.nothing_left()


ASSOCIATED: dict[str, Callable[[], bytes]] = {
    "4 GiB of data": lambda: struct.pack(">BxL", 4, 0xFFFFFFFF),
    "a byte over the length that was agreed": lambda: struct.pack(">BxL", 4, (1 << 17) + 1) + bytes(20),
    "4 GiB in a value": lambda: struct.pack(">BxLLBB", 4, 100, 0xFFFFFFFF, 1, 3) + bytes(94),
    "an empty value": lambda: struct.pack(">BxLLBB", 4, 6, 1, 1, 3),
    "half a value": lambda: struct.pack(">BxL", 4, 5) + bytes(5),
    "a context that was not agreed": lambda: data_pdus(9, 1, command(e0100=0x30, e0110=1, e0800=0x101), 16384),
    "data without a command": lambda: data_pdus(3, 0, b"data", 16384),
    "an endless command": lambda: data_pdus(1, 1, bytes(100_000), 16384),
    "no command": lambda: data_pdus(1, 1, b"\1\0\0\0\0\0\0\0", 16384),
    "a command that asks for too much": lambda: data_pdus(1, 1, b"\0\0\0\1\xff\xff\xff\xff", 16384),
    "a command that is not for this node": lambda: data_pdus(1, 1, command(e0100=0x20, e0110=1, e0800=0), 16384),
    "a command within a data set": lambda: store_message(3, 1, DX, UID, b"abcd", 16384)[:-10] * 2,
    "a second request": lambda: request("CXREDGE", "TESTER", [(DX, [EXPLICIT])]),
    "an answer": lambda: pdu(2, bytes(100)),
    "a PDU of no kind": lambda: pdu(9, bytes(4)),
    "a release with more": lambda: pdu(5, bytes(100)),
}


@pytest.mark.parametrize("what", ASSOCIATED)
def test_broken_rules_end_an_association(what: str, tmp_path: Path) -> None:
    with receiving(tmp_path) as node:
        scu = Scu.connect(node.port)
        scu.send(ASSOCIATED[what]())
        with pytest.raises(AbortedError) as caught:
            scu.status()
        assert caught.value.args[0] == 2
        scu.close()
        node.await_codes(Event.ASSOCIATION_ENDED, "pdu")
        assert node.nothing_left()
        assert not node.images.list()
        assert not [one for one in node.events if one["event"] == Event.FAILED]


BEFORE: dict[str, Callable[[], bytes]] = {
    "a request of 4 GiB": lambda: struct.pack(">BxL", 1, 0xFFFFFFFF),
    "data of 4 GiB": lambda: struct.pack(">BxL", 4, 0xFFFFFFFF),
    "a web browser": lambda: b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "a release": lambda: pdu(5, bytes(4)),
    "an empty request": lambda: pdu(1, b""),
    "a cut item": lambda: pdu(1, request("CXREDGE", "TESTER", [(DX, [EXPLICIT])])[6:-1]),
    "an item that is too long": lambda: pdu(1, request("CXREDGE", "TESTER", [])[6:74] + b"\x10\0\xff\xff"),
    "a thousand contexts": lambda: _with_contexts([1] * 1000),
    "two contexts of one number": lambda: _with_contexts([1, 1]),
    "a context with an even number": lambda: _with_contexts([1, 2]),
}


def _with_contexts(numbers: list[int]) -> bytes:
    plain = request("CXREDGE", "TESTER", [])[6:]
    context = item(0x30, DX.encode()) + item(0x40, EXPLICIT.encode())
    return pdu(1, plain + b"".join(item(0x20, bytes((number, 0, 0, 0)) + context) for number in numbers))


@pytest.mark.parametrize("what", BEFORE)
def test_what_is_no_request_is_not_answered_but_by_an_abort(what: str, tmp_path: Path) -> None:
    with receiving(tmp_path) as node:
        connection = dial(node.port)
        connection.sendall(BEFORE[what]())
        assert connection.recv(100)[:1] == b"\7"
        connection.close()
        node.await_codes(Event.CONNECTION_REFUSED, "pdu")
        assert _echoes(node.port)


def test_silence_before_a_request_is_ended(tmp_path: Path) -> None:
    with receiving(tmp_path, handshake_s=0.3) as node:
        silent, slow = dial(node.port), dial(node.port)
        slow.sendall(request("CXREDGE", "TESTER", [(DX, [EXPLICIT])])[:50])
        assert silent.recv(10) == slow.recv(10) == b""
        await_true(lambda: node.codes(Event.CONNECTION_REFUSED) == ["late", "late"])


def test_a_sender_that_trickles_is_idle(tmp_path: Path) -> None:
    with receiving(tmp_path, idle_s=0.5) as node:
        scu = Scu.connect(node.port)
        whole = store_message(3, 1, DX, UID, small_dx(UID, 50_000), 16384)
        scu.send(whole[:5000])
        with pytest.raises((AbortedError, ConnectionError)):
            for place in range(5000, len(whole)):
                scu.send(whole[place : place + 1])
                time.sleep(0.05)
                if node.codes(Event.ASSOCIATION_ENDED):
                    scu.status()
        node.await_codes(Event.ASSOCIATION_ENDED, "idle")
        assert node.nothing_left()


def test_who_comes_and_goes_is_let_go(tmp_path: Path) -> None:
    """A load balancer's probe."""
    with receiving(tmp_path) as node:
        dial(node.port).close()
        node.await_codes(Event.CONNECTION_REFUSED, "left")


def sockets(port: int, count: int, source: str) -> list[socket.socket]:
    """Connections on which nothing is said; those that are refused at once count too."""
    made = []
    for _ in range(count):
        try:
            made.append(dial(port, source))
        except OSError:
            continue
    return made


def test_a_thousand_idle_sockets(tmp_path: Path) -> None:
    """From the honest sender's own address: they give way to it, and cost next to nothing."""
    with node_child(write_config(tmp_path, free_disk_mb=0)) as child:
        assert _stores(child.port, f"{UID}.0", 11 * MEGABYTE)  # what one image needs is there already
        before = child.resident()
        idle = sockets(child.port, 1000, "127.0.0.1")
        for number in range(1, 6):
            assert _stores(child.port, f"{UID}.{number}", 11 * MEGABYTE)
        assert child.resident() - before < 64 * MEGABYTE
        assert len(idle) > 500
        for one in idle:
            one.close()


def _stores(port: int, uid: str, size: int, source: str = "127.0.0.1") -> bool:
    scu = Scu.connect(port, source=source)
    stored = scu.store(uid, small_dx(uid, size)) == 0
    scu.release()
    return stored


def test_a_flood_of_associations(tmp_path: Path) -> None:
    """A configured sender gone mad, 4 GiB claims and all, holds its own address's places and no others."""
    with node_child(write_config(tmp_path, free_disk_mb=0)) as child:
        assert _stores(child.port, f"{UID}.0", 11 * MEGABYTE)
        before, held = child.resident(), []
        asked = request("CXREDGE", "TESTER", [(DX, [EXPLICIT])] * 100)
        for number in range(1000):
            one = dial(child.port, "127.0.0.66")
            one.setblocking(False)
            try:
                one.send(asked)
                if number % 3 == 0:
                    one.send(struct.pack(">BxL", 4, 0xFFFFFFFF) + bytes(1000))
            except OSError:
                pass
            held.append(one)
            if number % 250 == 249:
                assert _stores(child.port, f"{UID}.{number}", 11 * MEGABYTE)
        assert child.resident() - before < 64 * MEGABYTE
        for one in held:
            one.close()


def test_lengths_of_4_gib_cost_nothing(tmp_path: Path) -> None:
    with node_child(write_config(tmp_path, free_disk_mb=0)) as child:
        assert _stores(child.port, f"{UID}.0", 11 * MEGABYTE)
        before, held = child.resident(), []
        for number in range(35):
            scu = Scu.connect(child.port)
            scu.send(struct.pack(">BxL", 4, 0xFFFFFFFF) + bytes(100))
            held.append(scu)
            one = dial(child.port, f"127.0.1.{number + 1}")
            one.sendall(struct.pack(">BxL", 1, 0xFFFFFFFF) + bytes(100))
        assert _stores(child.port, f"{UID}.1", 11 * MEGABYTE)
        assert child.resident() - before < 64 * MEGABYTE
        for scu in held:
            with pytest.raises((AbortedError, ConnectionError)):
                scu.status()


def test_a_hundred_images_that_never_end(tmp_path: Path) -> None:
    """As many associations as there may be, each in the middle of an image."""
    with node_child(write_config(tmp_path, free_disk_mb=0)) as child:
        assert _stores(child.port, f"{UID}.0", 11 * MEGABYTE)
        before, held = child.resident(), []
        whole = store_message(3, 1, DX, UID, small_dx(UID, 3 * MEGABYTE), 1 << 17)
        for number in range(99):
            scu = Scu.connect(child.port, source=f"127.0.2.{number % 9 + 1}")
            scu.send(whole[:-1000])
            held.append(scu)
        assert _stores(child.port, f"{UID}.1", 11 * MEGABYTE)
        assert child.resident() - before < 64 * MEGABYTE
        for scu in held:
            scu.send(whole[-1000:])
            assert scu.status() == 0
            scu.close()
