"""`cxredge node --check`: all that a node needs, tried once; nothing of a patient is received or sent."""

from __future__ import annotations

import http.client
import os
import socket
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from cxredge.dicom_out import SOP_CLASSES
from cxredge.errors import Code, CxredgeError
from cxredge.node.config import Destination, NodeConfig
from cxredge.node.lock import SpoolLock
from cxredge.node.spool import Spool

__all__ = ["Check", "check_all"]

_NO_STUDY = "2.25.0"


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was tried, and what came of it."""

    what: str
    ok: bool
    detail: str


def check_all(config: NodeConfig) -> list[Check]:
    """Try the spool, the receiver, the model and each destination."""
    steps: list[tuple[str, Callable[[], str]]] = [
        ("spool", partial(_spool, config)),
        ("receiver", partial(_receiver, config)),
        ("senders", partial(_senders, config)),
        ("model", partial(_model, config)),
    ]
    steps += [(f"destination {one.name}", partial(_destination, config, one)) for one in config.destinations]
    if not config.destinations:
        steps.append(("destinations", _nowhere))
    return [_tried(what, step) for what, step in steps]


class _No(Exception):  # noqa: N818 - an answer
    """What was tried does not work, and why."""


def _tried(what: str, step: Callable[[], str]) -> Check:
    try:
        return Check(what, True, step())
    except (_No, CxredgeError) as error:
        return Check(what, False, str(error))
    except OSError as error:
        return Check(what, False, error.strerror or type(error).__name__)


def _spool(config: NodeConfig) -> str:
    spool = Spool(config.spool)
    probe = spool.part(f"check-{os.getpid()}")
    try:
        with probe.open("wb") as stream:
            stream.write(b"\0" * 4096)
            os.fsync(stream.fileno())
    finally:
        probe.unlink(missing_ok=True)
    free = spool.free_bytes() >> 20
    if free < config.limits.free_disk_mb:
        raise _No(f"{free} MB are free, limits.free_disk_mb is {config.limits.free_disk_mb}: nothing would be taken")
    return f"{config.spool}: {free} MB free" + (", a node runs on it" if _is_busy(config) else "")


def _is_busy(config: NodeConfig) -> bool:
    try:
        SpoolLock(config.spool).release()
    except CxredgeError as error:
        if error.code is not Code.SPOOL_BUSY:
            raise
        return True
    return False


def _receiver(config: NodeConfig) -> str:
    from cxredge.node.tls import server_context

    where = f"{config.receiver.ae_title} at {config.receiver.address} port {config.receiver.port}"
    if config.receiver.tls is not None:
        server_context(config.receiver)
        where += ", TLS" + (" with certificates of both sides" if config.receiver.clients_need_certificates else "")
    if not _is_busy(config):
        family = socket.AF_INET6 if ":" in config.receiver.address else socket.AF_INET
        with socket.socket(family) as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((config.receiver.address, config.receiver.port))
    return where


def _senders(config: NodeConfig) -> str:
    if not config.senders:
        raise _No("there is none: every association would be refused; docs/node.md, [[sender]]")
    return ", ".join(sorted({one.ae_title for one in config.senders}))


def _nowhere() -> str:
    raise _No("there is none: results would stay in the spool; docs/node.md, [[destination]]")


def _model(config: NodeConfig) -> str:
    from cxredge.node.model import open_model

    with open_model(config.model) as model:
        manifest, ran = model.manifest, model.ran
        use = "for clinical use" if manifest.clinical else "NOT for diagnosis"
        return f"{manifest.name} {manifest.version}, {use}; {ran.engine} {ran.precision} on {ran.device}"


def _destination(config: NodeConfig, one: Destination) -> str:
    return _by_http(one) if one.url is not None else _by_dimse(config, one)


def _by_dimse(config: NodeConfig, one: Destination) -> str:
    """C-ECHO, and which of its objects the destination would take."""
    from pynetdicom import AE
    from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]

    from cxredge.node.tls import client_context

    entity = AE(ae_title=config.receiver.ae_title)
    entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = one.timeout_s
    entity.connection_timeout = one.timeout_s
    entity.add_requested_context(Verification)
    for kind in one.objects:
        entity.add_requested_context(SOP_CLASSES[kind])
    host, port = one.host or "", one.port or 0
    tls = (client_context(one.tls), host) if one.tls is not None else None
    association = entity.associate(host, port, ae_title=one.ae_title or "", tls_args=tls)
    if not association.is_established:
        raise _No(f"{host} port {port}: " + _why_not(association))
    try:
        accepted = {context.abstract_syntax for context in association.accepted_contexts}
        missing = [kind for kind in one.objects if SOP_CLASSES[kind] not in accepted]
        if missing:
            raise _No(f"it does not take {', '.join(missing)}: leave these out of its objects, or have it accept them")
        status = association.send_c_echo()
        if "Status" not in status or status.Status != 0:
            raise _No("C-ECHO had no answer of success")
    finally:
        association.release()
    return f"C-ECHO answered, takes {', '.join(one.objects)}"


def _why_not(association: object) -> str:
    """In words of ours: what a peer sends as its reason may be anything."""
    if getattr(association, "is_rejected", False):
        return "the association was rejected: check ae_title, and that it knows this node's AE title"
    if getattr(association, "is_aborted", False):
        return "no association: nobody answers there, or TLS fails, or it aborts"
    return "no association"


def _by_http(one: Destination) -> str:
    """A query for a study that cannot be: whoever speaks DICOMweb answers it, and with nothing of a patient."""
    from cxredge.node.sending import Unreachable
    from cxredge.node.stow import headers_for, new_connection, studies_of

    try:
        connection, headers = new_connection(one), headers_for(one)
    except Unreachable as problem:
        raise _No(problem.reason) from None
    try:
        connection.request("GET", f"{studies_of(one)}?StudyInstanceUID={_NO_STUDY}", headers=headers)
        status = connection.getresponse().status
    except http.client.HTTPException as error:
        raise _No(f"no HTTP answer: {type(error).__name__}") from None
    finally:
        connection.close()
    if status in (401, 403):
        raise _No(f"HTTP {status}: it does not let this node in; check bearer_token_file, or the client's certificate")
    if status not in (*range(200, 300), 405, 501):  # the last two: it takes results and answers no queries
        raise _No(f"HTTP {status}: no DICOMweb there; url is the part before /studies")
    return f"DICOMweb answers (HTTP {status})"
