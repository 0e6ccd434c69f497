"""`node.toml`: all that a node is told, checked before it starts."""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

import msgspec

from cxredge.dicom_out import KINDS, Kind
from cxredge.errors import Code, UsageError

__all__ = [
    "Destination",
    "Limits",
    "ModelChoice",
    "NodeConfig",
    "Observed",
    "Receiver",
    "Retention",
    "Sender",
    "Tls",
    "Workers",
    "read_config",
]

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Order = Literal["stat", "routine"]

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}")
_AE_TITLE = re.compile(r"[ -\[\]-~]{1,16}")  # PS3.5 6.2: the default repertoire, without the backslash
_LOOPBACK = ("127.0.0.0/8", "::1/128")


class _Strict(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A word that is not known is a mistake, not something to pass over."""


class Tls(_Strict, frozen=True, kw_only=True):
    """Files in PEM form. As a server `ca` signs those who may connect; as a client it signs the server."""

    certificate: Path | None = None
    key: Path | None = None
    ca: Path | None = None


class Receiver(_Strict, frozen=True, kw_only=True):
    """Where the node listens, and under which name."""

    ae_title: str = "CXREDGE"
    address: str = "127.0.0.1"
    port: int = 11112
    tls: Tls | None = None
    clients_need_certificates: bool = True


class Sender(_Strict, frozen=True, kw_only=True):
    """One that may send: its AE title and its addresses must both match. None is the loopback interface alone."""

    ae_title: str
    addresses: tuple[str, ...] = _LOOPBACK
    order: Order = "routine"

    def networks(self) -> tuple[Network, ...]:
        """The addresses, parsed; one address is a network of one."""
        return tuple(ipaddress.ip_network(address, strict=False) for address in self.addresses)


class Destination(_Strict, frozen=True, kw_only=True):
    """Where results go: by DIMSE (`host`, `port`, `ae_title`) or by DICOMweb (`url`)."""

    name: str
    objects: tuple[Kind, ...] = ("sr",)
    ae_title: str | None = None
    host: str | None = None
    port: int | None = None
    url: str | None = None
    bearer_token_file: Path | None = None
    tls: Tls | None = None
    timeout_s: float = 30.0
    longest_pause_s: float = 300.0
    give_up_after_hours: float | None = None


class ModelChoice(_Strict, frozen=True, kw_only=True):
    """What analyses, as `cxredge predict` takes it."""

    bundle: Path | None = None
    engine: str = "auto"
    device: str = "auto"
    precision: str = "auto"
    threads: int | None = None
    operating_point: str | None = None
    key: Path | None = None


class Workers(_Strict, frozen=True, kw_only=True):
    """The processes that analyse: one that takes longer or more memory is ended, and the node lives on."""

    count: int = 1
    timeout_s: float = 60.0
    memory_mb: int = 4096


class Limits(_Strict, frozen=True, kw_only=True):
    """What one that connects may take of this machine."""

    connections: int = 100
    connections_an_address: int = 40
    pdu_bytes: int = 1 << 17
    instance_mb: int = 256
    images_a_minute: int = 6000
    idle_s: float = 60.0
    handshake_s: float = 10.0
    free_disk_mb: int = 512


class Retention(_Strict, frozen=True, kw_only=True):
    """How many days files stay once all destinations have their results; parked images stay until someone decides."""

    images_days: float = 1.0
    results_days: float = 7.0
    rows_days: float = 90.0


class Observed(_Strict, frozen=True, kw_only=True):
    """Prometheus metrics, on the loopback interface unless said otherwise; port 0 turns them off."""

    address: str = "127.0.0.1"
    port: int = 9112


class NodeConfig(_Strict, frozen=True, kw_only=True):
    """The whole file."""

    spool: Path
    receiver: Receiver = Receiver()
    senders: tuple[Sender, ...] = msgspec.field(name="sender", default=())
    destinations: tuple[Destination, ...] = msgspec.field(name="destination", default=())
    model: ModelChoice = ModelChoice()
    workers: Workers = Workers()
    limits: Limits = Limits()
    retention: Retention = Retention()
    metrics: Observed = Observed()

    def kinds(self) -> tuple[Kind, ...]:
        """All objects that any destination takes, in the order of `KINDS`."""
        asked = {kind for destination in self.destinations for kind in destination.objects}
        return tuple(kind for kind in KINDS if kind in asked)


def read_config(path: str | os.PathLike[str]) -> NodeConfig:
    """Read and check the file; paths in it are relative to its folder.

    Raises:
        UsageError: NODE_CONFIG, with the word at fault.
    """
    place = Path(path)
    try:
        config = msgspec.toml.decode(place.read_bytes(), type=NodeConfig, dec_hook=_decoded)
    except OSError as error:
        raise _wrong(f"{place}: {error.strerror}") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise _wrong(f"{place}: {error}") from None
    for problem in _problems(config):
        raise _wrong(f"{place}: {problem}")
    return _placed(config, place.absolute().parent)


def _decoded(kind: type, value: object) -> object:
    """TOML has no type for a path: it is a text."""
    if kind is Path and isinstance(value, str) and value:
        return Path(value)
    raise ValueError("expected a path" if kind is Path else f"no {kind.__name__}")


def _wrong(detail: str) -> UsageError:
    return UsageError(Code.NODE_CONFIG, detail)


def _problems(config: NodeConfig) -> Iterable[str]:
    """What the types cannot say."""
    yield from _ae_title("receiver", config.receiver.ae_title)
    yield from _port("receiver", config.receiver.port)
    if config.receiver.tls and not (config.receiver.tls.certificate and config.receiver.tls.key):
        yield "receiver.tls: certificate and key are both needed"
    if config.receiver.tls and config.receiver.clients_need_certificates and not config.receiver.tls.ca:
        yield "receiver.tls: ca is needed, or clients_need_certificates = false"
    for sender in config.senders:
        yield from _sender_problems(sender)
    names = [destination.name for destination in config.destinations]
    if len(set(names)) < len(names):
        yield "destination: two have the same name"
    for destination in config.destinations:
        yield from _destination_problems(destination)
    yield from _number_problems(config)


def _sender_problems(sender: Sender) -> Iterable[str]:
    yield from _ae_title("sender", sender.ae_title)
    try:
        sender.networks()
    except ValueError as error:
        yield f"sender {sender.ae_title}: {error}"


def _destination_problems(one: Destination) -> Iterable[str]:
    if not _NAME.fullmatch(one.name):
        yield f"destination {one.name!r}: a name is of a-z, 0-9, - and _, at most 32 characters"
        return
    where = f"destination {one.name}"
    dimse = (one.ae_title, one.host, one.port)
    if one.url is not None:
        if any(word is not None for word in dimse):
            yield f"{where}: url, or ae_title, host and port; not both"
        yield from _web_problems(where, one)
    elif None in dimse:
        yield f"{where}: ae_title, host and port are needed, or url"
    else:
        yield from _ae_title(where, one.ae_title or "")
        yield from _port(where, one.port or 0)
        if one.bearer_token_file is not None:
            yield f"{where}: bearer_token_file belongs to a url"
    if not one.objects:
        yield f"{where}: objects is empty; choose of {', '.join(KINDS)}"
    hours = one.give_up_after_hours
    if min(one.timeout_s, one.longest_pause_s) <= 0 or (hours is not None and hours <= 0):
        yield f"{where}: times must be above 0"


def _web_problems(where: str, one: Destination) -> Iterable[str]:
    """What would go out in the clear although the file asks for more."""
    url = urlsplit(one.url or "")
    if url.scheme not in ("http", "https") or not url.hostname:
        yield f"{where}: url must begin with https:// or http://, and name a host"
    elif url.scheme == "http" and one.tls is not None:
        yield f"{where}: with tls, url must begin with https://"
    elif url.scheme == "http" and one.bearer_token_file is not None and not _is_this_machine(url.hostname):
        yield f"{where}: a bearer token goes over https:// alone, or to this machine"


def _is_this_machine(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _number_problems(config: NodeConfig) -> Iterable[str]:
    if config.workers.count < 1 or config.workers.timeout_s <= 0 or config.workers.memory_mb < 512:
        yield "workers: count must be 1 or more, timeout_s above 0, memory_mb 512 or more"
    limits = config.limits
    if not 1 << 14 <= limits.pdu_bytes <= 1 << 24:
        yield "limits: pdu_bytes must be between 16384 and 16777216"
    if min(limits.connections, limits.connections_an_address, limits.instance_mb, limits.images_a_minute) < 1:
        yield "limits: each must be 1 or more"
    if min(limits.idle_s, limits.handshake_s) <= 0 or limits.free_disk_mb < 0:
        yield "limits: times must be above 0, free_disk_mb 0 or more"
    days = config.retention
    if min(days.images_days, days.results_days, days.rows_days) < 0:
        yield "retention: days must be 0 or more"
    if not 0 <= config.metrics.port < 1 << 16:
        yield "metrics: port must be between 0 and 65535"


def _ae_title(where: str, title: str) -> Iterable[str]:
    if not _AE_TITLE.fullmatch(title) or title != title.strip():
        yield f"{where}: an AE title has 1 to 16 characters of ASCII, no backslash, no space at its ends"


def _port(where: str, port: int) -> Iterable[str]:
    if not 1 <= port < 1 << 16:
        yield f"{where}: port must be between 1 and 65535"


def _placed(config: NodeConfig, folder: Path) -> NodeConfig:
    """The same, with every path absolute."""
    replace = msgspec.structs.replace
    model = replace(config.model, bundle=_at(config.model.bundle, folder), key=_at(config.model.key, folder))
    receiver = replace(config.receiver, tls=_tls_at(config.receiver.tls, folder))
    destinations = tuple(
        replace(one, tls=_tls_at(one.tls, folder), bearer_token_file=_at(one.bearer_token_file, folder))
        for one in config.destinations
    )
    return replace(config, spool=folder / config.spool, model=model, receiver=receiver, destinations=destinations)


def _at(path: Path | None, folder: Path) -> Path | None:
    return None if path is None else folder / path


def _tls_at(tls: Tls | None, folder: Path) -> Tls | None:
    if tls is None:
        return None
    return Tls(certificate=_at(tls.certificate, folder), key=_at(tls.key, folder), ca=_at(tls.ca, folder))
