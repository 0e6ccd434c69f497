"""Which instance a data set is, read off its beginning: enough to check a sender's word, and nothing of a patient."""

from __future__ import annotations

import io
import zlib
from dataclasses import dataclass
from typing import Any

from cxredge.dicom import syntaxes
from cxredge.dicom import tags as t
from cxredge.dicom.header import read_header
from cxredge.dicom.own import is_own
from cxredge.errors import InputError
from cxredge.sources import Blob, BytesBlob, Limits

__all__ = ["HEAD_BYTES", "Character", "character", "identify"]

HEAD_BYTES = 1 << 16
"""Within so many bytes a data set says which instance it is: nothing long comes before (0008,0018)."""
_INFLATED = 1 << 20
_PRIORITY = 0x00401003
_REQUESTS = 0x00400275
_CHARACTER = (t.MANUFACTURER, t.MODEL, _PRIORITY, _REQUESTS)
_FIRST = {"STAT"}


@dataclass(frozen=True, slots=True)
class Character:
    """What an instance's data set says that decides its way: whether cxredge wrote it, whether it is urgent."""

    own: bool = False
    stat: bool = False


def identify(head: bytes, syntax: str) -> tuple[str, str] | None:
    """SOP Class UID and SOP Instance UID of the data set that begins so; None where it does not say.

    Args:
        head: its first HEAD_BYTES, or all of it.
        syntax: the transfer syntax that it came in; where the bytes contradict it, they are believed.
    """
    data = _inflated(head, HEAD_BYTES) if syntax == syntaxes.DEFLATED else head
    implicit, little = syntaxes.sniff_encoding(data[:8]) or (syntax == syntaxes.IMPLICIT, syntax != syntaxes.BIG_ENDIAN)
    return _uids(data, implicit, little)


def _uids(data: bytes, implicit: bool, little: bool) -> tuple[str, str] | None:
    from pydicom.filereader import data_element_generator

    wanted = [t.SOP_CLASS, t.SOP_INSTANCE]

    def past(tag: int, vr: str | None, length: int) -> bool:  # noqa: ARG001 - pydicom's signature
        return tag > t.SOP_INSTANCE

    try:
        walk = data_element_generator(io.BytesIO(data), implicit, little, stop_when=past, specific_tags=wanted)
        found: dict[int, Any] = {int(element.tag): element.value for element in walk}
        sop_class, instance = (bytes(found[tag]).decode("ascii").rstrip("\0 ") for tag in wanted)
    except Exception:  # pydicom's reader raises whatever broken bytes lead it to
        return None
    return sop_class, instance


def character(blob: Blob, syntax: str, offset: int) -> Character:
    """What the whole file says; what is broken says nothing, and is for the analysis to tell.

    Args:
        blob: the file.
        syntax: its transfer syntax.
        offset: where its data set begins.
    """
    try:
        if syntax == syntaxes.DEFLATED:
            with blob.open() as file:
                file.seek(offset)
                blob = BytesBlob(_inflated(file.read(_INFLATED), _INFLATED))
        tags = read_header(blob, Limits(), _CHARACTER).tags
        return Character(is_own(tags), _is_stat(tags))
    except InputError:
        return Character()


def _is_stat(tags: t.Tags) -> bool:
    """Requested Procedure Priority (0040,1003): of the data set, or of a request that it answers (0040,0275)."""
    priorities = {tags.text(_PRIORITY)} | {request.text(_PRIORITY) for request in tags.items(_REQUESTS)}
    return bool(priorities & _FIRST)


def _inflated(data: bytes, most: int) -> bytes:
    """The beginning of a deflated data set, as far as it goes."""
    try:
        return zlib.decompressobj(wbits=-zlib.MAX_WBITS).decompress(data, most)
    except zlib.error:
        return b""
