"""Writes the protobuf and ZIP structures that no honest library will write."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass, field


@dataclass
class Member:
    """One member of a ZIP file, every field of it open to abuse."""

    name: bytes
    data: bytes
    method: int = 0
    flags: int = 0
    mode: int = 0o100644
    extra: bytes = b""
    local_name: bytes | None = None
    local_size: int | None = None
    before: bytes = b""
    header_offset: int | None = None
    stored: bytes | None = None
    crc: int | None = None
    attributes: int = 0


@dataclass
class Zip:
    """A ZIP file made of members as they are told."""

    members: list[Member] = field(default_factory=list)
    prefix: bytes = b""
    gap: bytes = b""
    comment: bytes = b""
    suffix: bytes = b""

    def to_bytes(self) -> bytes:
        out, directory = bytearray(self.prefix), bytearray()
        for m in self.members:
            out += m.before
            offset = len(out) if m.header_offset is None else m.header_offset
            stored = m.data if m.stored is None else m.stored
            crc = zlib.crc32(m.data) if m.crc is None else m.crc
            name = m.name if m.local_name is None else m.local_name
            size = len(m.data) if m.local_size is None else m.local_size
            head = (20, m.flags, m.method, 0, 0x21, crc, len(stored), size, len(name), len(m.extra))
            if m.header_offset is None:
                out += struct.pack("<4s5H3I2H", b"PK\3\4", *head) + name + m.extra + stored
            entry = (0x314, 20, m.flags, m.method, 0, 0x21, crc, len(stored), len(m.data), len(m.name), len(m.extra))
            directory += struct.pack("<4s6H3I5H2I", b"PK\1\2", *entry, 0, 0, 0, (m.mode << 16) | m.attributes, offset)
            directory += m.name + m.extra
        out += self.gap
        end = (0, 0, len(self.members), len(self.members), len(directory), len(out), len(self.comment))
        return bytes(out + directory + struct.pack("<4s4H2IH", b"PK\5\6", *end) + self.comment + self.suffix)
