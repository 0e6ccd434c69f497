"""What a destination answers to a C-STORE or a STOW request, and what a courier makes of it."""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from pydicom import Dataset, dcmread
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import AE, evt
from pynetdicom.sop_class import (
    Comprehensive3DSRStorage,
    GrayscaleSoftcopyPresentationStateStorage,
    SecondaryCaptureImageStorage,
    SegmentationStorage,
)

from cxredge.node.check import check_all
from cxredge.node.config import Destination, NodeConfig, Receiver, Tls
from cxredge.node.events import Event
from cxredge.node.tls import server_context
from tests.support.authority import Authority
from tests.support.couriers import assert_arrived_once, carrying, filled, sent
from tests.support.nodes import wait_for
from tests.support.orthanc import orthanc
from tests.support.spooled import MODEL, Spooled

Sets = Sequence[dict[str, bytes]]
CLASSES = (
    Comprehensive3DSRStorage,
    SegmentationStorage,
    SecondaryCaptureImageStorage,
    GrayscaleSoftcopyPresentationStateStorage,
)


def uid(data: bytes) -> str:
    return str(dcmread(BytesIO(data), stop_before_pixels=True).SOPInstanceUID)


@dataclass
class Peer:
    """A storage provider of pynetdicom's, or a STOW-RS server, that answers as it is told to."""

    answers: dict[str, int] = field(default_factory=dict)
    usual: int = 0
    got: list[str] = field(default_factory=list)
    stored: dict[str, Dataset] = field(default_factory=dict)
    port: int = 0

    def answer(self, instance: str, data: Callable[[], Dataset]) -> int:
        self.got.append(instance)
        status = self.answers.get(instance, self.usual)
        if status == 0 or status >> 12 == 0xB:
            self.stored[instance] = data()
        return status


@contextmanager
def provider(classes: Sequence[str] = CLASSES, syntax: str = ExplicitVRLittleEndian, **options: Any) -> Iterator[Peer]:
    peer = Peer()
    entity = AE(ae_title="PEER")
    for name, value in options.items():
        setattr(entity, name, value)
    for one in classes:
        entity.add_supported_context(one, syntax)
    stored = [(evt.EVT_C_STORE, lambda event: peer.answer(event.request.AffectedSOPInstanceUID, lambda: event.dataset))]
    server = entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=stored)
    peer.port = server.socket.getsockname()[1]
    try:
        yield peer
    finally:
        server.shutdown()


def to(peer: Peer, *kinds: str, **words: Any) -> Destination:
    words = {"timeout_s": 5.0, "longest_pause_s": 0.3, "ae_title": "PEER", "host": "127.0.0.1"} | words
    return Destination(name="peer", objects=kinds or ("sr", "seg"), port=peer.port, **words)  # type: ignore[arg-type]


def reason(here: Spooled, number: int) -> str:
    """Why the last try to deliver an image's results failed."""
    (delivery,) = here.deliveries.of(here.images.list()[number].id)
    return str(delivery.reason)


def values(dataset: Dataset) -> list[tuple[int, Any]]:
    """What is said, however it is encoded: 8-bit pixels are OW in the default transfer syntax (PS3.5 A.1)."""
    return [(int(element.tag), element.value) for element in dataset]


def told(here: Spooled, code: str) -> int:
    return len(here.watch.of(Event.SEND_FAILED, code=code))


def test_a_refused_object_holds_up_nothing_behind_it(tmp_path: Path, result_sets: Sets) -> None:
    with provider() as peer:
        here = filled(tmp_path, result_sets, to(peer))
        bad = uid(result_sets[0]["seg"])
        peer.answers[bad] = 0xA901
        with carrying(here):
            wait_for(lambda: sent(here, "peer") == 3 and told(here, "status_a901") >= 2, "the others are sent")
            assert "0xA901 (the data set does not match its SOP class) for seg" in reason(here, 0)
            assert uid(result_sets[0]["sr"]) in peer.stored  # what it takes of the image, it has
            del peer.answers[bad]
            wait_for(lambda: sent(here, "peer") == 4, "and it, when the peer takes it")
    assert set(peer.stored) == {uid(results[kind]) for results in result_sets for kind in ("sr", "seg")}
    here.close()


@pytest.mark.parametrize("status", [0xB000, 0xB007, 0x0111])
def test_warnings_and_duplicates_are_stored(tmp_path: Path, result_sets: Sets, status: int) -> None:
    with provider() as peer:
        peer.usual = status
        here = filled(tmp_path, result_sets, to(peer))
        with carrying(here):
            wait_for(lambda: sent(here, "peer") == 4, "all are sent")
        assert len(peer.got) == 8
    assert not here.watch.of(Event.SEND_FAILED)
    here.close()


def test_a_peer_without_room_is_left_alone_for_longer_and_longer(tmp_path: Path, result_sets: Sets) -> None:
    with provider() as peer:
        peer.usual = 0xA700
        here = filled(tmp_path, result_sets, to(peer, longest_pause_s=600.0))
        with carrying(here):
            wait_for(lambda: told(here, "status_a700") >= 3, "it is tried again")
            asked = len(peer.got)
            assert asked == told(here, "status_a700")  # one object a try, not a flood
            peer.usual = 0
            wait_for(lambda: sent(here, "peer") == 4, "all are sent when there is room")
    here.close()


def test_a_kind_that_the_peer_does_not_know(tmp_path: Path, result_sets: Sets) -> None:
    classes = [one for one in CLASSES if one != SegmentationStorage]
    with provider(classes) as peer:
        here = filled(tmp_path, result_sets, to(peer))
        with carrying(here):
            wait_for(lambda: told(here, "no_context") >= 4, "it is told")
        assert len(peer.stored) == 4  # the reports
        assert "takes no seg" in reason(here, 0)
    assert sent(here, "peer") == 0
    here.close()


def test_a_peer_that_knows_none_of_an_image_s_kinds(tmp_path: Path, result_sets: Sets) -> None:
    """An abstention has the report alone: where reports are not taken, those behind it still have their turn."""
    abstained, others = {"sr": result_sets[0]["sr"]}, [{"seg": one["seg"]} for one in result_sets[1:]]
    with provider([SegmentationStorage]) as peer:
        here = filled(tmp_path, [abstained, *others], to(peer))
        peer.usual = 0xA700  # from now on one image an association
        with carrying(here):
            wait_for(lambda: told(here, "status_a700"), "there is no room")
            peer.usual = 0
            wait_for(lambda: sent(here, "peer") == 3 and told(here, "no_context"), "the others are sent")
    assert len(peer.stored) == 3
    here.close()


def test_a_peer_that_knows_the_default_transfer_syntax_alone(tmp_path: Path, result_sets: Sets) -> None:
    with provider(syntax=ImplicitVRLittleEndian) as peer:
        here = filled(tmp_path, result_sets, to(peer, "sr", "seg", "sc", "pr"))
        with carrying(here):
            wait_for(lambda: sent(here, "peer") == 4, "all are sent")
    for results in result_sets:
        for data in results.values():
            made = dcmread(BytesIO(data))
            assert values(peer.stored[made.SOPInstanceUID]) == values(made)
    here.close()


def test_a_peer_that_does_not_know_us(tmp_path: Path, result_sets: Sets) -> None:
    with provider(require_calling_aet=["SOMEONE"]) as peer:
        here = filled(tmp_path, result_sets, to(peer))
        with carrying(here):
            wait_for(lambda: told(here, "rejected") >= 2, "it is told")
        assert "calling ae title not recognised" in reason(here, 0)
        assert not peer.got
    here.close()


def test_over_mutual_tls_to_a_real_pacs(tmp_path: Path, result_sets: Sets) -> None:
    """Orthanc with TLS and client certificates; without ours it is not to be had."""
    authority = Authority(tmp_path, "hospital")
    server, node = authority.party("pacs"), authority.party("node")
    options = {
        "DicomTlsEnabled": True,
        "DicomTlsCertificate": str(server.certificate),
        "DicomTlsPrivateKey": str(server.key),
        "DicomTlsTrustedCertificates": str(authority.path),
        "DicomTlsRemoteCertificateRequired": True,
    }
    (tmp_path / "orthanc").mkdir()
    with orthanc(tmp_path / "orthanc", **options) as pacs:
        known = Tls(certificate=node.certificate, key=node.key, ca=authority.path)
        words: dict[str, Any] = {"ae_title": "ORTHANC", "host": "127.0.0.1", "port": pacs.dimse, "objects": ("sr",)}
        words |= {"timeout_s": 5.0, "longest_pause_s": 0.3}
        places = [
            Destination(name="pacs", tls=known, **words),
            Destination(name="nameless", tls=Tls(ca=authority.path), **words),
            Destination(name="plain", **words),
            Destination(name="lost", tls=Tls(ca=tmp_path / "none.pem"), **words),
        ]
        here = filled(tmp_path / "spool", result_sets, *places)
        with carrying(here):
            wait_for(lambda: sent(here, "pacs") == 4, "all are sent")
            for name in ("nameless", "plain", "lost"):
                wait_for(lambda: here.watch.of(Event.SEND_FAILED, destination=name), "it is told")  # noqa: B023
                assert sent(here, name) == 0
        assert here.watch.of(Event.SEND_FAILED, destination="lost", code="tls")
        assert_arrived_once(pacs, result_sets, ("sr",))
    here.close()


class Web(Peer):
    """A STOW-RS server: `status` for the request, `answers` for the instances."""

    def __init__(self) -> None:
        super().__init__()
        self.status: int | None = None
        self.token: str | None = None
        self.body: bytes | None = None
        self.early = False
        self.requests = 0


class Handler(BaseHTTPRequestHandler):
    """One request."""

    protocol_version = "HTTP/1.1"
    web: Web

    def do_POST(self) -> None:
        self.web.requests += 1
        if self.web.early:  # it will not even look at the body
            self.web.early = False
            self._say(413, b"")
            self.close_connection = True
            return
        data = self.rfile.read(int(self.headers["Content-Length"]))
        if self.web.token is not None and self.headers["Authorization"] != f"Bearer {self.web.token}":
            self._say(401, b"")
        elif self.web.status is not None:
            self._say(self.web.status, self.web.body or b"<html>Sorry, M\xfcller^Zo\xeb</html>")
        else:
            self._say(*self._stored(data))

    def _stored(self, data: bytes) -> tuple[int, bytes]:
        head = f"Content-Type: {self.headers['Content-Type']}\r\n\r\n".encode()
        done: dict[str, list[Any]] = {"00081199": [], "00081198": []}
        for part in message_from_bytes(head + data, policy=policy.HTTP).iter_parts():
            assert part.get_content_type() == "application/dicom"
            dataset = dcmread(BytesIO(part.get_payload(decode=True)))  # type: ignore[arg-type]
            status = self.web.answer(str(dataset.SOPInstanceUID), lambda dataset=dataset: dataset)
            good = status == 0 or status >> 12 == 0xB
            item: dict[str, Any] = {"00081155": {"vr": "UI", "Value": [str(dataset.SOPInstanceUID)]}}
            if status:
                item["00081196" if good else "00081197"] = {"vr": "US", "Value": [status]}
            done["00081199" if good else "00081198"].append(item)
        body = json.dumps({tag: {"vr": "SQ", "Value": items} for tag, items in done.items() if items}).encode()
        if not done["00081198"]:
            return 200, body
        return (202 if done["00081199"] else 409), body

    def _say(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: Any) -> None:
        """Say nothing."""


@contextmanager
def serving(tls: ssl.SSLContext | None = None) -> Iterator[Web]:
    web = Web()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Mine", (Handler,), {"web": web}))
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    web.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield web
    finally:
        server.shutdown()
        server.server_close()


def over_web(web: Web, *kinds: str, **words: Any) -> Destination:
    words = {"timeout_s": 5.0, "longest_pause_s": 0.3, "url": f"http://127.0.0.1:{web.port}/dicom-web/"} | words
    return Destination(name="peer", objects=kinds or ("sr", "seg"), **words)  # type: ignore[arg-type]


def test_one_instance_that_is_refused_over_the_web(tmp_path: Path, result_sets: Sets) -> None:
    with serving() as web:
        here = filled(tmp_path, result_sets, over_web(web))
        bad = uid(result_sets[1]["sr"])
        web.answers = {bad: 0xC001, uid(result_sets[2]["sr"]): 0xB000, uid(result_sets[3]["seg"]): 0x0111}
        with carrying(here):
            wait_for(lambda: sent(here, "peer") == 3 and told(here, "status_c001") >= 2, "the others are sent")
            assert "0xC001 for sr" in reason(here, 1)
            web.answers.clear()
            wait_for(lambda: sent(here, "peer") == 4, "and it, when the peer takes it")
    here.close()


@pytest.mark.parametrize("status", [500, 503, 429, 403, 301])
def test_answers_that_speak_of_the_server(tmp_path: Path, result_sets: Sets, status: int) -> None:
    with serving() as web:
        web.status = status
        here = filled(tmp_path, result_sets, over_web(web))
        with carrying(here):
            wait_for(lambda: told(here, f"http_{status}") >= 2, "it is told")
            assert sent(here, "peer") == 0
            web.status = None
            wait_for(lambda: sent(here, "peer") == 4, "all are sent when it is well again")
    assert "ller" not in here.watch.text() + reason(here, 0)
    here.close()


@pytest.mark.parametrize(("status", "body"), [(409, b""), (400, b"[[["), (202, b"<xml/>"), (409, b'{"00081198": 3}')])
def test_answers_that_name_no_instance(tmp_path: Path, result_sets: Sets, status: int, body: bytes) -> None:
    """What is said of all together may be meant of one: each is asked for alone, and none is believed stored."""
    with serving() as web:
        web.status, web.body = status, body
        here = filled(tmp_path, result_sets, over_web(web))
        with carrying(here):
            wait_for(lambda: told(here, f"http_{status}") >= 4, "each is told of")
            assert len({one["image"] for one in here.watch.of(Event.SEND_FAILED)}) == 4
            assert sent(here, "peer") == 0
            web.status = None
            wait_for(lambda: sent(here, "peer") == 4, "all are sent when it is well again")
    here.close()


def test_a_plain_yes(tmp_path: Path, result_sets: Sets) -> None:
    """200 says that all are stored, whatever else is said; an endless answer is not read to its end."""
    with serving() as web:
        web.status, web.body = 200, b" " * (5 << 20)
        here = filled(tmp_path, result_sets, over_web(web))
        with carrying(here):
            wait_for(lambda: sent(here, "peer") == 4, "all are sent")
        assert web.requests == 1
    here.close()


def test_an_answer_before_the_request_is_whole(tmp_path: Path, result_sets: Sets) -> None:
    with serving() as web:
        web.early = True
        here = filled(tmp_path, result_sets, over_web(web, "sr", "seg", "sc"))
        with carrying(here):
            wait_for(lambda: sent(here, "peer") == 4, "all are sent in the end")
        assert web.requests > 1
    here.close()


def test_a_token_that_is_replaced(tmp_path: Path, result_sets: Sets) -> None:
    token = tmp_path / "token"
    with serving() as web:
        web.token = "new"  # noqa: S105
        here = filled(tmp_path / "spool", result_sets, over_web(web, bearer_token_file=token))
        with carrying(here):
            wait_for(lambda: told(here, "token"), "there is none")
            token.write_text("old\n", encoding="ascii")
            wait_for(lambda: told(here, "http_401"), "it is not taken")
            token.write_text("new\n", encoding="ascii")
            wait_for(lambda: sent(here, "peer") == 4, "all are sent")
    here.close()


def test_over_https(tmp_path: Path, result_sets: Sets) -> None:
    """With our certificate, to a server whose certificate our authority has signed; to no other."""
    authority, stranger = Authority(tmp_path, "hospital"), Authority(tmp_path, "elsewhere")
    server, node = authority.party("pacs"), authority.party("node")
    tls = Tls(certificate=server.certificate, key=server.key, ca=authority.path)
    with serving(server_context(Receiver(tls=tls))) as web:
        url = f"https://localhost:{web.port}/dicom-web"
        known = Tls(certificate=node.certificate, key=node.key, ca=authority.path)
        good = over_web(web, url=url, tls=known)
        wrong = Destination(name="wrong", url=url, tls=Tls(ca=stranger.path), longest_pause_s=0.3)
        here = filled(tmp_path / "spool", result_sets, good, wrong)
        with carrying(here):
            wait_for(lambda: sent(here, "peer") == 4, "all are sent")
            wait_for(lambda: here.watch.of(Event.SEND_FAILED, destination="wrong"), "it is told")
        assert sent(here, "wrong") == 0
        wrongs = [one.reason for one in here.deliveries.of(here.images.list()[0].id) if one.destination == "wrong"]
        assert "certificate" in str(wrongs[0])
    here.close()


@pytest.mark.parametrize("held", [b"\xff\xfe", b"two words", b""])
def test_a_check_tells_of_a_token_that_is_none(held: bytes, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_bytes(held)
    pacs = Destination(name="pacs", url="http://127.0.0.1:9/dicom-web", bearer_token_file=token)
    told = {row.what: row for row in check_all(NodeConfig(spool=tmp_path / "spool", destinations=(pacs,), model=MODEL))}
    assert not told["destination pacs"].ok and "token" in told["destination pacs"].detail
