"""What comes before an association: the request, and who may make it (PS3.8 9.2, states 2 and 3)."""

from __future__ import annotations

from typing import NoReturn

from cxredge.node import wire
from cxredge.node.admission import Guest
from cxredge.node.association import Association, House
from cxredge.node.channel import Channel, Ended, Late
from cxredge.node.classes import negotiate
from cxredge.node.wire import Abort, Pdu, Reject, WireError

__all__ = ["Refusal", "greet"]


class Refusal(Exception):  # noqa: N818 - not an error
    """It does not become an association. `code` is that of CONNECTION_REFUSED."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


def greet(house: House, channel: Channel, guest: Guest) -> Association:
    """Read the request, and accept it where its sender may send.

    Raises:
        Refusal: it may not; it has been told so.
    """
    try:
        kind, length = channel.header()
        if kind is not Pdu.REQUEST or length > wire.MOST_REQUEST_BYTES:
            raise WireError("no request")
        if not house.admission.knows(guest.address):
            _reject(channel, Reject.CALLING_TITLE, "address")  # without reading what a stranger sends
        return _accepted(house, channel, guest, channel.take(length))
    except WireError:
        channel.say_last(wire.abort(Abort.INVALID_PARAMETER))
        raise Refusal("pdu") from None
    except Late:
        raise Refusal("late") from None
    except Ended:
        raise Refusal("left") from None


def _accepted(house: House, channel: Channel, guest: Guest, body: bytes) -> Association:
    sender = house.admission.sender(*wire.read_titles(body), guest.address)
    if isinstance(sender, Reject):
        _reject(channel, sender, "title")
    request = wire.read_request(body)
    if isinstance(request, Reject):
        _reject(channel, request, "pdu")
    if house.closing():
        _reject(channel, Reject.CONGESTED, "limit")
    if not house.admission.settle(guest):
        raise Refusal("limit")
    answers = negotiate(request.contexts)
    channel.send(wire.accept(body, answers, house.config.limits.pdu_bytes))
    classes = {context.number: context.abstract for context in request.contexts}
    accepted = {number: (classes[number], syntax) for number, result, syntax in answers if result == 0}
    return Association(house, channel, guest, sender, accepted)


def _reject(channel: Channel, why: Reject, code: str) -> NoReturn:
    channel.say_last(wire.reject(why))
    raise Refusal(code)
