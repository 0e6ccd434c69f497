"""The node's own reading and writing of PDUs and command sets, held against pynetdicom's and pydicom's."""

from __future__ import annotations

import io
import struct
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom import Dataset
from pynetdicom import build_context, dimse_messages, pdu
from pynetdicom.dimse_primitives import C_ECHO, C_STORE
from pynetdicom.dsutils import decode, encode
from pynetdicom.pdu_primitives import (
    A_ASSOCIATE,
    ImplementationClassUIDNotification,
    MaximumLengthNotification,
    SCP_SCU_RoleSelectionNegotiation,
    UserIdentityNegotiation,
)

from cxredge.node import wire
from cxredge.node.wire import Abort, Command, Context, Operation, Pdu, Reject, Request, WireError

UIDS = ["1.2.840.10008.5.1.4.1.1.1.1", "1.2.840.10008.1.1", "1.2.3"]
SYNTAXES = ["1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.4.90"]
STORED = Command(Operation.STORE, 77, True, "1.2.840.10008.5.1.4.1.1.1", "1.2.3.4.5")


def requested(contexts: list[tuple[str, list[str]]], longest: int) -> bytes:
    """An A-ASSOCIATE-RQ as pynetdicom writes it, with items that the node does not use."""
    primitive = A_ASSOCIATE()
    primitive.application_context_name = "1.2.840.10008.3.1.1.1"
    primitive.called_ae_title, primitive.calling_ae_title = "CXREDGE", "A MODALITY 1"
    length, implementation = MaximumLengthNotification(), ImplementationClassUIDNotification()
    length.maximum_length_received, implementation.implementation_class_uid = longest, "1.2.3.4"
    role, identity = SCP_SCU_RoleSelectionNegotiation(), UserIdentityNegotiation()
    role.sop_class_uid, role.scu_role, role.scp_role = "1.2.3", True, False
    identity.user_identity_type, identity.primary_field, identity.secondary_field = 2, b"name", b"secret"
    primitive.user_information = [length, implementation, role, identity]
    proposed = [build_context(abstract, syntaxes) for abstract, syntaxes in contexts]
    for number, context in enumerate(proposed):
        context.context_id = 2 * number + 1
    primitive.presentation_context_definition_list = proposed
    made = pdu.A_ASSOCIATE_RQ()
    made.from_primitive(primitive)
    return bytes(made.encode())


@given(
    st.lists(
        st.tuples(st.sampled_from(UIDS), st.lists(st.sampled_from(SYNTAXES), min_size=1, unique=True)), max_size=9
    ),
    st.integers(0, 2**32 - 1),
)
def test_requests(contexts: list[tuple[str, list[str]]], longest: int) -> None:
    made = requested(contexts, longest)
    assert made[0] == Pdu.REQUEST
    assert wire.read_titles(made[6:]) == ("CXREDGE", "A MODALITY 1")
    expected = tuple(Context(2 * n + 1, abstract, tuple(names)) for n, (abstract, names) in enumerate(contexts))
    assert wire.read_request(made[6:]) == Request(expected, longest)


def test_acceptance() -> None:
    asked = requested([(UIDS[0], SYNTAXES), (UIDS[1], SYNTAXES[:1])], 0)
    made = wire.accept(asked[6:], [(1, 0, SYNTAXES[2]), (3, 3, SYNTAXES[0])], 131072)
    read = pdu.A_ASSOCIATE_AC()
    read.decode(made)
    assert (read.called_ae_title.strip(), read.calling_ae_title.strip()) == ("CXREDGE", "A MODALITY 1")
    assert read.application_context_name == "1.2.840.10008.3.1.1.1"
    (first, second) = read.presentation_context
    assert (first.context_id, first.result, first.transfer_syntax) == (1, 0, SYNTAXES[2])
    assert (second.context_id, second.result) == (3, 3)
    assert read.user_information.maximum_length == 131072
    assert read.user_information.implementation_class_uid.startswith("2.25.")
    assert read.user_information.implementation_version_name == "CXREDGE_NODE"


@pytest.mark.parametrize("why", Reject)
def test_rejection(why: Reject) -> None:
    read = pdu.A_ASSOCIATE_RJ()
    read.decode(wire.reject(why))
    assert (read.result, read.source, read.reason_diagnostic) == why.value
    assert read.reason_str  # it is one that PS3.8 knows


@pytest.mark.parametrize("why", Abort)
def test_abort(why: Abort) -> None:
    read = pdu.A_ABORT_RQ()
    read.decode(wire.abort(why))
    assert (read.source, read.reason_diagnostic) == (2, why)


def test_release() -> None:
    read = pdu.A_RELEASE_RP()
    read.decode(wire.release_answer())
    assert wire.release_answer() == read.encode()


def test_commands() -> None:
    primitive = C_STORE()
    primitive.MessageID, primitive.Priority = 77, 2
    primitive.AffectedSOPClassUID, primitive.AffectedSOPInstanceUID = STORED.sop_class, STORED.sop_instance
    primitive.DataSet = io.BytesIO(b"data")
    message = dimse_messages.C_STORE_RQ()
    message.primitive_to_message(primitive)
    assert wire.read_command(encode(message.command_set, True, True) or b"") == STORED
    echo = C_ECHO()
    echo.MessageID, echo.AffectedSOPClassUID = 3, "1.2.840.10008.1.1"
    asked = dimse_messages.C_ECHO_RQ()
    asked.primitive_to_message(echo)
    command = wire.read_command(encode(asked.command_set, True, True) or b"")
    assert command == Command(Operation.ECHO, 3, False, "1.2.840.10008.1.1", "")


@pytest.mark.parametrize("status", [0x0000, 0xA700, 0xC000])
def test_answers(status: int) -> None:
    read = pdu.P_DATA_TF()
    read.decode(wire.answer(5, STORED, status))
    (value,) = read.presentation_data_value_items
    assert value.context_id == 5
    assert value.message_control_header_byte == "00000011"
    said = decode(io.BytesIO(value.presentation_data_value[1:]), True, True)
    expected = Dataset()
    expected.CommandGroupLength = said.CommandGroupLength
    expected.AffectedSOPClassUID, expected.AffectedSOPInstanceUID = STORED.sop_class, STORED.sop_instance
    expected.CommandField, expected.MessageIDBeingRespondedTo = 0x8001, 77
    expected.CommandDataSetType, expected.Status = 0x0101, status
    assert said == expected
    assert encode(said, True, True) == value.presentation_data_value[1:]


def test_an_answer_repeats_no_identifier_that_is_none() -> None:
    bad = Command(Operation.STORE, 1, True, "../../x", "1" * 65)
    assert b".." not in wire.answer(1, bad, 0)
    assert b"111" not in wire.answer(1, bad, 0)


def test_requests_that_cannot_be_accepted() -> None:
    body = requested([(UIDS[0], SYNTAXES)], 0)[6:]
    assert wire.read_request(b"\0\2" + body[2:]) is Reject.PROTOCOL
    assert wire.read_request(body.replace(b"10008.3.1.1.1", b"10008.3.1.1.2")) is Reject.APPLICATION_CONTEXT
    assert wire.read_request(body[:68]) is Reject.APPLICATION_CONTEXT


@pytest.mark.parametrize("cut", [0, 4, 67, 70, 100, -1])
def test_cut_requests(cut: int) -> None:
    body = requested([(UIDS[0], SYNTAXES)], 0)[6:]
    with pytest.raises(WireError):
        wire.read_request(body[:cut])


def test_contexts_that_share_a_number() -> None:
    body = bytearray(requested([(UIDS[0], SYNTAXES), (UIDS[1], SYNTAXES)], 0)[6:])
    second = body.index(struct.pack(">BxH", 0x20, 0)[:1] + b"\0", body.index(UIDS[0].encode()))
    body[second + 4] = 1
    with pytest.raises(WireError):
        wire.read_request(bytes(body))


@given(st.binary(max_size=300))
def test_no_bytes_are_worse_than_malformed(data: bytes) -> None:
    for read in (wire.read_request, wire.read_command, wire.read_titles):
        with suppress(WireError):
            read(data)


@given(st.data())
def test_no_change_to_a_request_is_worse_than_malformed(data: st.DataObject) -> None:
    body = bytearray(requested([(UIDS[0], SYNTAXES), (UIDS[1], SYNTAXES)], 16384)[6:])
    for _ in range(data.draw(st.integers(1, 4))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    with suppress(WireError):
        wire.read_request(bytes(body))
