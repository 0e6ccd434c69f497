"""C-ECHO and C-STORE: what arrives is what was sent, to the byte, whatever it is encoded in."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread

import cxredge
from cxredge.dicom_out import results_as_dicom, write_results
from cxredge.errors import Code, UsageError
from cxredge.node.config import NodeConfig, Sender
from cxredge.node.config import Receiver as Place
from cxredge.node.events import Event
from cxredge.node.images import State
from cxredge.node.receive import Receiver
from tests.support import dicom_files as files
from tests.support.filed import filed_bytes, run_tool
from tests.support.phantom import draw_phantom
from tests.support.receiving import await_true, data_set_of, receiving
from tests.support.scu import DX, EXPLICIT, VERIFICATION, Scu, command, pdu, small_dx, store_message

SYNTAXES = (*files.RAW_SYNTAXES, *files.LOSSLESS_SYNTAXES, *files.LOSSY_SYNTAXES)
CR = "1.2.840.10008.5.1.4.1.1.1"
CT = "1.2.840.10008.5.1.4.1.1.2"
UID = "1.2.826.0.1.3680043.8.498.77"


def film(path: Path, syntax: str) -> Path:
    """A file in that syntax."""
    pixels = draw_phantom(120, 100)
    if syntax == files.JPEG_BASELINE:
        pixels = (pixels >> 4).astype(np.uint8)
    return files.write_dicom(path, pixels, syntax=syntax, window=(2048.0, 4096.0), tags={"SOPInstanceUID": UID})


def test_it_answers_an_echo(tmp_path: Path) -> None:
    with receiving(tmp_path) as node:
        _, messages = run_tool("echoscu", "-v", "-aec", "CXREDGE", "127.0.0.1", str(node.port))
        assert "Received Echo Response (Success)" in messages
        node.await_codes(Event.ASSOCIATION_ENDED, "released")


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_every_syntax_arrives_as_it_was_sent(syntax: str, tmp_path: Path) -> None:
    sent = data_set_of(film(tmp_path / "film.dcm", syntax))
    with receiving(tmp_path) as node:
        scu = Scu.connect(node.port, contexts=[(DX, (syntax,))])
        assert scu.store(UID, sent, context=1) == 0
        scu.release()
        image = node.only()
        path = node.spool.image(image.id)
        assert data_set_of(path) == sent
        assert (image.sha256, image.bytes) == (hashlib.sha256(sent).hexdigest(), len(sent))
        assert (image.sop_instance_uid, image.sop_class_uid, image.state) == (UID, DX, State.QUEUED)
        meta = dcmread(path, stop_before_pixels=True).file_meta
        assert meta.TransferSyntaxUID == syntax
        assert (meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID) == (DX, UID)
        assert meta.SourceApplicationEntityTitle == "TESTER"
        assert node.nothing_left()
        await_true(lambda: len(node.woken) == 1)


@pytest.mark.parametrize(
    ("syntax", "propose"),
    [
        (files.IMPLICIT, "-xi"),
        (files.EXPLICIT, "-xe"),
        (files.BIG_ENDIAN, "-xb"),
        (files.DEFLATED, "-xd"),
        (files.RLE, "-xr"),
        (files.JPEG_BASELINE, "-xy"),
        (files.JPEG_EXTENDED, "-xx"),
        (files.JPEG_LOSSLESS_SV1, "-xs"),
        (files.JPEG_LS, "-xt"),
        (files.JPEG_LS_NEAR, "-xu"),
        (files.J2K_LOSSLESS, "-xv"),
        (files.J2K, "-xw"),
    ],
)
def test_dcmtk_sends(syntax: str, propose: str, tmp_path: Path) -> None:
    sent = film(tmp_path / "film.dcm", syntax)
    with receiving(tmp_path) as node:
        _, messages = run_tool("storescu", "-v", propose, "-aec", "CXREDGE", "127.0.0.1", str(node.port), sent)
        assert "Received Store Response (Success)" in messages
        there = dcmread(node.spool.image(node.only().id))
        assert there == dcmread(sent)
        assert there.file_meta.TransferSyntaxUID == syntax


def test_dcmtk_reads_what_lies_in_the_spool(tmp_path: Path) -> None:
    sent = data_set_of(film(tmp_path / "film.dcm", files.EXPLICIT))
    with receiving(tmp_path) as node:
        assert Scu.connect(node.port).store(UID, sent) == 0
        output, _ = run_tool("dcmdump", "+fo", node.spool.image(node.only().id))
        assert f"[{UID}]" in output
        assert "(0002,0016) AE [TESTER]" in output


def test_a_sender_that_offers_several_syntaxes_need_not_transcode(tmp_path: Path) -> None:
    """Its first is taken; a maker's own only where there is no standard one; never one whose pixels lie elsewhere."""
    jpip, own = "1.2.840.10008.1.2.4.94", "1.2.840.113619.5.2"
    contexts = [
        (DX, (files.J2K, EXPLICIT)),
        (DX, (own, EXPLICIT)),
        (DX, (own,)),
        (DX, (jpip,)),
        (DX, (jpip, EXPLICIT)),
        (CT, (EXPLICIT,)),
        (DX, ("no uid", "../etc")),
    ]
    with receiving(tmp_path) as node:
        scu = Scu.connect(node.port, contexts=contexts)
        assert scu.syntaxes == {1: files.J2K, 3: EXPLICIT, 5: own, 9: EXPLICIT}
        assert scu.results == {1: 0, 3: 0, 5: 0, 7: 4, 9: 0, 11: 3, 13: 4}
        scu.release()


def test_several_images_on_several_contexts_of_one_association(tmp_path: Path) -> None:
    contexts = [(DX, (EXPLICIT,)), (CR, (EXPLICIT,)), (VERIFICATION, (EXPLICIT,))]
    with receiving(tmp_path) as node:
        scu = Scu.connect(node.port, contexts=contexts)
        for number in range(6):
            sop_class, uid = contexts[number % 2][0], f"{UID}.{number}"
            data = small_dx(uid, 300_000, sop_class)
            assert scu.store(uid, data, context=2 * (number % 2) + 1, sop_class=sop_class) == 0
            assert scu.echo(5) == 0
        scu.release()
        assert {image.sop_class_uid for image in node.images.list()} == {DX, CR}
        assert len(node.images.list()) == 6
        assert node.nothing_left()


def test_data_in_the_smallest_and_oddest_pieces(tmp_path: Path) -> None:
    """PDUs of one byte; several PDVs in a PDU, empty ones, command and data in one."""
    data = small_dx(UID, 999)
    asked = command(e0002=DX, e0100=1, e0110=9, e0700=0, e0800=0, e1000=UID)

    def pdv(control: int, value: bytes) -> bytes:
        return (len(value) + 2).to_bytes(4, "big") + bytes((3, control)) + value

    pieces = [pdv(1, asked[:50]), pdv(3, asked[50:]), pdv(0, b""), pdv(0, data[:10]), pdv(0, data[10:]), pdv(2, b"")]
    with receiving(tmp_path) as node:
        scu = Scu.connect(node.port)
        for scu.longest in (7, 8, 30, 5000):
            assert scu.store(UID, data) == 0
        scu.send(pdu(4, b"".join(pieces)))
        assert scu.status() == 0
        scu.release()
        assert data_set_of(node.spool.image(node.only().id)) == data


def test_the_same_instance_twice_is_one_image(tmp_path: Path) -> None:
    data = small_dx(UID)
    with receiving(tmp_path) as node:
        scu = Scu.connect(node.port)
        assert [scu.store(UID, data) for _ in range(3)] == [0, 0, 0]
        scu.release()
        assert node.only().bytes == len(data)
        assert node.nothing_left()
        told = [one["event"] for one in node.events if one["event"] != Event.ASSOCIATION_ENDED]
        assert told == [Event.RECEIVED, Event.KNOWN, Event.KNOWN]


def test_other_bytes_of_the_same_instance_are_another_image(tmp_path: Path) -> None:
    with receiving(tmp_path) as node:
        scu = Scu.connect(node.port)
        assert [scu.store(UID, small_dx(UID, size)) for size in (100, 200)] == [0, 0]
        assert len(node.images.list()) == 2


def test_what_was_lost_by_hand_is_taken_again(tmp_path: Path) -> None:
    """The row is there, its file is not: the sender's next try brings it back."""
    data = small_dx(UID)
    with receiving(tmp_path) as node:
        scu = Scu.connect(node.port)
        assert scu.store(UID, data) == 0
        node.spool.image(node.only().id).unlink()
        assert scu.store(UID, data) == 0
        assert data_set_of(node.spool.image(node.only().id)) == data
        assert node.nothing_left()


@pytest.mark.parametrize("priority", [b"STAT", b"ROUTINE ", None])
@pytest.mark.parametrize("order", ["stat", "routine"])
def test_urgency_is_of_the_image_or_of_its_sender(priority: bytes | None, order: str, tmp_path: Path) -> None:
    more = {} if priority is None else {"t00401003": ("SH", priority)}
    senders = (Sender(ae_title="TESTER", order=order),)  # type: ignore[arg-type]
    with receiving(tmp_path, senders=senders) as node:
        assert Scu.connect(node.port).store(UID, small_dx(UID, **more)) == 0
        assert node.only().stat == (priority == b"STAT" or order == "stat")


def test_urgency_of_the_request_that_it_answers(tmp_path: Path) -> None:
    item = b"\xfe\xff\x00\xe0\x0c\0\0\0" + b"\x40\0\x03\x10SH\x04\0STAT"
    with receiving(tmp_path) as node:
        assert Scu.connect(node.port).store(UID, small_dx(UID, t00400275=("SQ", item))) == 0
        assert node.only().stat


def test_results_of_cxredge_are_taken_and_never_analysed(tiny_bundle: Path, tmp_path: Path) -> None:
    source = filed_bytes()
    with cxredge.load(tiny_bundle, engine="onnxruntime", precision="fp32") as model:
        paths = write_results(results_as_dicom(model.predict(source), source), tmp_path, "film")
    made = [(path, dcmread(path)) for path in paths]
    assert len(made) == 4
    with receiving(tmp_path) as node:
        scu = Scu.connect(node.port, contexts=[(str(one.SOPClassUID), (EXPLICIT,)) for _, one in made])
        for number, (path, one) in enumerate(made):
            sop_class, uid = str(one.SOPClassUID), str(one.SOPInstanceUID)
            assert scu.store(uid, data_set_of(path), context=2 * number + 1, sop_class=sop_class) == 0
        scu.release()
        there = node.images.list()
        assert len(there) == 4
        assert {(image.state, image.code) for image in there} == {(State.IGNORED, "own_result")}
        assert node.images.take() is None


def test_a_film_that_was_scanned_is_analysed_and_a_foreign_report_is_not(tmp_path: Path) -> None:
    scanned, report = "1.2.840.10008.5.1.4.1.1.7", "1.2.840.10008.5.1.4.1.1.88.34"
    with receiving(tmp_path) as node:
        scu = Scu.connect(node.port, contexts=[(scanned, (EXPLICIT,)), (report, (EXPLICIT,))])
        for number, sop_class in enumerate((scanned, report)):
            uid = f"{UID}.{number}"
            assert scu.store(uid, small_dx(uid, sop_class=sop_class), context=2 * number + 1, sop_class=sop_class) == 0
        states = {image.sop_class_uid: (image.state, image.code) for image in node.images.list()}
        assert states == {scanned: (State.QUEUED, None), report: (State.IGNORED, "wrong_modality")}


def test_no_file_name_holds_what_was_sent(tmp_path: Path) -> None:
    uids = ["../../../etc/passwd", "1.2.3/../4", "1" * 65, "", "1.2.é", "1..2", ".1", "1.2.3\n", "/etc/x"]
    with receiving(tmp_path) as node:
        scu = Scu.connect(node.port)
        for uid in uids:
            scu.send(store_message(3, 1, DX, uid, small_dx(UID), scu.longest))
            answer = scu.answer()
            assert int.from_bytes(answer[0x0900], "little") == 0x0117
            assert 0x1000 not in answer
        assert scu.store(UID, small_dx(UID)) == 0
        scu.release()
        assert node.codes(Event.STORE_REFUSED) == ["uid"] * len(uids)
        assert node.nothing_left()
        names = " ".join(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*"))
        assert not any(text in names for text in ("passwd", UID, "Canary", "TESTER"))
        told = str(node.events)
        assert not any(text in told for text in ("passwd", UID, "Canary", DX))


@pytest.mark.parametrize(
    ("data", "status", "code"),
    [
        (small_dx("1.2.3.4"), 0xA900, "uid"),
        (small_dx(UID, sop_class=CR), 0xA900, "uid"),
        (small_dx("1.2.3.4", 200_000), 0xA900, "uid"),
        (b"", 0xC000, "not_an_image"),
        (b"no data set at all, but some text that is long enough", 0xC000, "not_an_image"),
        (bytes(300_000), 0xC000, "not_an_image"),
        (small_dx(UID)[:40], 0xC000, "not_an_image"),
    ],
)
def test_a_data_set_unlike_its_command_is_refused(data: bytes, status: int, code: str, tmp_path: Path) -> None:
    with receiving(tmp_path) as node:
        scu = Scu.connect(node.port)
        assert scu.store(UID, data) == status
        assert scu.store(UID, small_dx(UID)) == 0  # the association goes on
        scu.release()
        node.await_codes(Event.STORE_REFUSED, code)
        assert node.nothing_left()


def test_another_class_than_the_context_is_refused(tmp_path: Path) -> None:
    with receiving(tmp_path) as node:
        assert Scu.connect(node.port).store(UID, small_dx(UID, sop_class=CR), sop_class=CR) == 0x0122
        assert not node.images.list()
        assert node.nothing_left()


def test_senders_that_leave_in_the_middle_leave_nothing(tmp_path: Path) -> None:
    whole = store_message(3, 1, DX, UID, small_dx(UID, 50_000), 16384)
    with receiving(tmp_path) as node:
        for cut in (10, 60, 200, 20_000, len(whole) - 1):
            scu = Scu.connect(node.port)
            scu.send(whole[:cut])
            scu.close()
        scu = Scu.connect(node.port)
        scu.send(whole[: whole.index(b"\x04\0\0\0\x40\0") + 16384 + 6])
        scu.send(pdu(7, bytes(4)))
        scu.close()
        await_true(lambda: len(node.codes(Event.ASSOCIATION_ENDED)) == 6)
        assert set(node.codes(Event.ASSOCIATION_ENDED)) == {"aborted"}
        assert not node.images.list()
        assert node.nothing_left()


def test_stopping_lets_what_is_on_its_way_arrive(tmp_path: Path) -> None:
    whole = store_message(3, 1, DX, UID, small_dx(UID, 50_000), 16384)
    with receiving(tmp_path) as node:
        port = node.port
        idle, busy = Scu.connect(port), Scu.connect(port)
        busy.send(whole[:30_000])
        await_true(lambda: len(list(node.spool.incoming.iterdir())) == 1)
        stopping = threading.Thread(target=node.receiver.stop, args=(60,))
        stopping.start()
        await_true(lambda: "aborted" in node.codes(Event.ASSOCIATION_ENDED))  # the idle one
        with pytest.raises(OSError, match="refused"):
            Scu.connect(port)
        busy.send(whole[30_000:])
        assert busy.status() == 0
        stopping.join(60)
        assert not stopping.is_alive()
        assert node.only().sop_instance_uid == UID
        idle.close()


def test_stopping_does_not_wait_for_a_sender_that_waits(tmp_path: Path) -> None:
    whole = store_message(3, 1, DX, UID, small_dx(UID, 50_000), 16384)
    with receiving(tmp_path) as node:
        busy = Scu.connect(node.port)
        busy.send(whole[:30_000])
        await_true(lambda: len(list(node.spool.incoming.iterdir())) == 1)
        node.receiver.stop(0.2)
        await_true(node.nothing_left)
        assert not node.images.list()


def test_an_address_that_is_taken_is_said(tmp_path: Path) -> None:
    with receiving(tmp_path) as node:
        config = NodeConfig(spool=node.config.spool, receiver=Place(port=node.port))
        other = Receiver(config, node.spool, node.images, lambda event, **facts: None, lambda: None)
        with pytest.raises(UsageError, match=str(node.port)) as caught:
            other.start()
        assert caught.value.code is Code.NODE_ADDRESS


def test_listening_needs_no_pynetdicom() -> None:
    """Its loggers quote PDUs and titles; what strangers reach does not even load it."""
    code = "import sys, cxredge.node.receive; print('pynetdicom' in sys.modules)"
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
