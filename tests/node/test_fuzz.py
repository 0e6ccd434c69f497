"""Conversations with bytes changed, cut and repeated at random: the receiver ends them, and serves the next sender."""

from __future__ import annotations

import random
import socket
from pathlib import Path

import pytest

from cxredge.node.events import Event
from tests.support.receiving import await_true, receiving
from tests.support.scu import DX, EXPLICIT, VERIFICATION, Scu, command, data_pdus, dial, pdu, request, small_dx
from tests.support.scu import store_message as stored

UID = "1.2.826.0.1.3680043.8.498.83"
TRIES = 60


def conversation() -> list[bytes]:
    """All that a sender says, cut where its PDUs begin."""
    echo = command(e0002=VERIFICATION, e0100=0x30, e0110=7, e0800=0x0101)
    return [
        request("CXREDGE", "TESTER", [(VERIFICATION, [EXPLICIT]), (DX, [EXPLICIT])]),
        data_pdus(1, 1, echo, 16384),
        stored(3, 1, DX, UID, small_dx(UID, 40_000), 16384),
        stored(3, 2, DX, UID, small_dx(UID, 100), 200),
        pdu(5, bytes(4)),
    ]


def changed(parts: list[bytes], chance: random.Random) -> bytes:
    """Bytes of the first few of each part are changed, where lengths and kinds are; parts are left out and repeated."""
    made = []
    for part in parts:
        data = bytearray(part)
        for _ in range(chance.choice((0, 0, 1, 3))):
            place = chance.randrange(min(len(data), chance.choice((8, 120, len(data)))))
            data[place] = chance.choice((0, 1, 2, 4, 127, 255, chance.randrange(256)))
        if chance.random() < 0.1:
            del data[chance.randrange(len(data)) :]
        made += [bytes(data)] * chance.choice((0, 1, 1, 1, 1, 1, 1, 2))
    return b"".join(made)


@pytest.mark.parametrize("seed", range(3))
def test_whatever_is_said(seed: int, tmp_path: Path) -> None:
    chance = random.Random(seed)
    with receiving(tmp_path, idle_s=0.3, handshake_s=0.3, connections_an_address=100) as node:
        for _ in range(TRIES):
            connection = dial(node.port)
            try:
                connection.sendall(changed(conversation(), chance))
                connection.shutdown(socket.SHUT_WR)
            except OSError:
                pass  # it was ended already
            finally:
                connection.close()
        ends = (Event.CONNECTION_REFUSED, Event.ASSOCIATION_ENDED)
        await_true(lambda: sum(len(node.codes(end)) for end in ends) == TRIES)
        assert not node.codes(Event.FAILED)
        assert node.nothing_left()
        assert {image.sop_instance_uid for image in node.images.list(limit=1000)} <= {UID}
        scu = Scu.connect(node.port)
        assert scu.store(UID, small_dx(UID, 77)) == 0
        scu.release()
