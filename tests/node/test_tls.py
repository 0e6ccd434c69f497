"""TLS on the way in: mutual by default, versions and suites of BCP 195, and no plain bytes beside it."""

from __future__ import annotations

import ssl
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from cxredge.errors import Code, UsageError
from cxredge.node.config import Receiver, Tls
from cxredge.node.events import Event
from cxredge.node.tls import client_context, server_context
from tests.support.authority import Authority, Party
from tests.support.filed import run_tool, tool
from tests.support.receiving import receiving
from tests.support.scu import Scu, small_dx

UID = "1.2.826.0.1.3680043.8.498.78"


@dataclass(frozen=True)
class World:
    """A hospital's authority, and another one."""

    ours: Authority
    node: Party
    modality: Party
    stranger: Party


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    folder = tmp_path_factory.mktemp("certificates")
    ours, theirs = Authority(folder, "hospital"), Authority(folder, "elsewhere")
    return World(ours, ours.party("node"), ours.party("modality"), theirs.party("stranger"))


def place(world: World, *, mutual: bool = True) -> Receiver:
    tls = Tls(certificate=world.node.certificate, key=world.node.key, ca=world.ours.path if mutual else None)
    return Receiver(tls=tls, clients_need_certificates=mutual)


def client(world: World, party: Party | None) -> ssl.SSLContext:
    shown = {} if party is None else {"certificate": party.certificate, "key": party.key}
    return client_context(Tls(ca=world.ours.path, **shown))


def test_a_known_certificate_may_send(world: World, tmp_path: Path) -> None:
    with receiving(tmp_path, place=place(world)) as node:
        scu = Scu.connect(node.port, tls=client(world, world.modality))
        assert isinstance(scu.connection, ssl.SSLSocket)
        assert scu.connection.version() == "TLSv1.3"
        assert scu.store(UID, small_dx(UID, 3_000_000)) == 0
        scu.release()
        assert node.only().bytes > 3_000_000


def test_dcmtk_sends_over_mutual_tls(world: World, tmp_path: Path) -> None:
    from tests.support.dicom_files import write_dicom
    from tests.support.phantom import draw_phantom

    film = write_dicom(tmp_path / "film.dcm", draw_phantom(200, 200))
    with receiving(tmp_path, place=place(world)) as node:
        keys = ["+tls", world.modality.key, world.modality.certificate, "+cf", world.ours.path]
        _, said = run_tool("storescu", "-v", *keys, "-aec", "CXREDGE", "127.0.0.1", str(node.port), film)
        assert "Received Store Response (Success)" in said
        assert node.nothing_left()
        assert len(node.images.list()) == 1


@pytest.mark.parametrize("who", ["nobody", "stranger"])
def test_without_a_certificate_of_ours_nothing_is_heard(who: str, world: World, tmp_path: Path) -> None:
    with receiving(tmp_path, place=place(world)) as node:
        party = world.stranger if who == "stranger" else None
        with pytest.raises(OSError):  # with TLS 1.3 the client learns of it at its first read
            Scu.connect(node.port, tls=client(world, party))
        node.await_codes(Event.CONNECTION_REFUSED, "tls")
        Scu.connect(node.port, tls=client(world, world.modality)).release()


def test_plain_bytes_get_nowhere(world: World, tmp_path: Path) -> None:
    with receiving(tmp_path, place=place(world)) as node:
        with pytest.raises((OSError, AssertionError)):
            Scu.connect(node.port)
        node.await_codes(Event.CONNECTION_REFUSED, "tls")


def test_certificates_of_clients_can_be_waived(world: World, tmp_path: Path) -> None:
    with receiving(tmp_path, place=place(world, mutual=False)) as node:
        scu = Scu.connect(node.port, tls=client(world, None))
        assert scu.store(UID, small_dx(UID)) == 0
        scu.release()


def test_titles_and_addresses_count_within_tls_too(world: World, tmp_path: Path) -> None:
    from tests.support.scu import RejectedError

    with receiving(tmp_path, place=place(world)) as node:
        with pytest.raises(RejectedError) as caught:
            Scu.connect(node.port, calling="SOMEONE", tls=client(world, world.modality))
        assert caught.value.args == (1, 1, 3)


def old(world: World, change: str) -> ssl.SSLContext:
    """A client that can only do what BCP 195 forbids."""
    context = client(world, world.modality)
    if change == "version":
        context.minimum_version = ssl.TLSVersion.TLSv1
        context.maximum_version = ssl.TLSVersion.TLSv1_1
        context.set_ciphers("ALL:@SECLEVEL=0")
    else:
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        context.set_ciphers(change)
    return context


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("change", ["version", "ECDHE-ECDSA-AES256-SHA384", "AES128-GCM-SHA256"])
def test_old_versions_and_weak_suites_are_refused(change: str, world: World, tmp_path: Path) -> None:
    with receiving(tmp_path, place=place(world)) as node:
        with pytest.raises(OSError):
            Scu.connect(node.port, tls=old(world, change))
        node.await_codes(Event.CONNECTION_REFUSED, "tls")


def test_version_1_2_with_a_good_suite_is_taken(world: World, tmp_path: Path) -> None:
    context = client(world, world.modality)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with receiving(tmp_path, place=place(world)) as node:
        scu = Scu.connect(node.port, tls=context)
        assert isinstance(scu.connection, ssl.SSLSocket)
        assert (scu.connection.version(), "GCM" in scu.connection.cipher()[0]) == ("TLSv1.2", True)
        scu.release()


def test_a_handshake_that_does_not_go_on_is_ended(world: World, tmp_path: Path) -> None:
    from tests.support.scu import dial

    with receiving(tmp_path, place=place(world), handshake_s=0.5) as node:
        dial(node.port)
        node.await_codes(Event.CONNECTION_REFUSED, "tls")


def test_a_client_checks_the_server_and_its_name(world: World) -> None:
    context = client_context(Tls(ca=world.ours.path))
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2
    assert client_context(Tls()).verify_mode == ssl.CERT_REQUIRED


def test_files_that_cannot_be_used_are_named(world: World, tmp_path: Path) -> None:
    hidden = world.ours.party("hidden", b"a passphrase")
    empty = tmp_path / "empty.pem"
    empty.write_bytes(b"")
    node = world.node
    for tls, at_fault in [
        (Tls(certificate=tmp_path / "missing.pem", key=node.key), "missing.pem"),
        (Tls(certificate=node.certificate, key=world.modality.key), "node.crt"),
        (Tls(certificate=node.certificate, key=node.key, ca=empty), "empty.pem"),
        (Tls(certificate=hidden.certificate, key=hidden.key), "passphrase"),
    ]:
        with pytest.raises(UsageError, match=at_fault) as caught:
            server_context(Receiver(tls=tls, clients_need_certificates=False))
        assert caught.value.code is Code.NODE_CONFIG


def test_no_tls_is_no_context() -> None:
    assert server_context(Receiver()) is None


def test_openssl_agrees(world: World, tmp_path: Path) -> None:
    """Another implementation's view of the handshake."""
    with receiving(tmp_path, place=place(world)) as node:
        command = [tool("openssl"), "s_client", "-connect", f"127.0.0.1:{node.port}", "-CAfile", str(world.ours.path)]
        command += ["-cert", str(world.modality.certificate), "-key", str(world.modality.key)]
        done = subprocess.run(command, input=b"", capture_output=True, timeout=60)
        assert b"Verify return code: 0 (ok)" in done.stdout
        assert b"hospital" in done.stdout  # the authority that clients are asked to be signed by
