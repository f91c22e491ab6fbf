"""The header of a BTF blob: where its sections are, and in which byte order.

Owns reading, checking and packing of ``struct btf_header``; knows nothing of
types or of what a string section must hold.

Checks are libbpf's: sections inside the data, in the order types, layout, strings,
not overlapping. What only the kernel demands (version, flags, no gaps) is left
to ``validate``. One check is stricter than libbpf's: a header shorter than its
own fields is refused, with or without a base.
Facts: include/uapi/linux/btf.h; libbpf's btf_parse_hdr and btf_parse_layout_sec.
"""

from __future__ import annotations

import struct
from typing import Literal, NamedTuple, TypeAlias

from btfdbg.btf.format import (
    HEADER_LEN,
    HEADER_LEN_LAYOUT,
    LAYOUT_ENTRY_LEN,
    MAGIC,
    VERSION,
)
from btfdbg.errors import BtfFormatError

ByteOrder: TypeAlias = Literal["little", "big"]


class Header(NamedTuple):
    """
    ``struct btf_header``. Section offsets count from the end of the header.

    :ivar tail: Bytes of the header past the fields known here.
    """

    byteorder: ByteOrder
    version: int = VERSION
    flags: int = 0
    hdr_len: int = HEADER_LEN
    type_off: int = 0
    type_len: int = 0
    str_off: int = 0
    str_len: int = 0
    layout_off: int = 0
    layout_len: int = 0
    tail: bytes = b""

    @property
    def end(self) -> int:
        """Bytes up to the end of the last section; the blob may be longer."""
        return self.hdr_len + self.str_off + self.str_len

    @classmethod
    def parse(cls, data: memoryview) -> Header:
        """
        Read and check the header.

        :param data: The whole blob.
        :raises BtfFormatError: a rule that libbpf also enforces is broken.
        """
        if len(data) < HEADER_LEN:
            raise BtfFormatError(
                f"header at 0x0: needs {HEADER_LEN} bytes, data has {len(data)}", offset=0
            )
        if data[0] == MAGIC & 0xFF and data[1] == MAGIC >> 8:
            order: ByteOrder = "little"
            char = "<"
        elif data[0] == MAGIC >> 8 and data[1] == MAGIC & 0xFF:
            order = "big"
            char = ">"
        else:
            raise BtfFormatError(
                f"header at 0x0: magic bytes {data[:2].hex()}, expected 9feb or eb9f", offset=0
            )
        version, flags, hdr_len, type_off, type_len, str_off, str_len = struct.unpack_from(
            char + "BB5I", data, 2
        )
        if hdr_len < HEADER_LEN:
            raise BtfFormatError(
                f"header at 0x4: hdr_len is {hdr_len}, expected at least {HEADER_LEN}", offset=4
            )
        if hdr_len > len(data):
            raise BtfFormatError(
                f"header at 0x4: hdr_len is {hdr_len}, data has {len(data)} bytes", offset=4
            )
        layout_off = layout_len = 0
        tail = HEADER_LEN
        if hdr_len >= HEADER_LEN_LAYOUT:
            layout_off, layout_len = struct.unpack_from(char + "2I", data, HEADER_LEN)
            tail = HEADER_LEN_LAYOUT
        header = cls(
            order,
            version,
            flags,
            hdr_len,
            type_off,
            type_len,
            str_off,
            str_len,
            layout_off,
            layout_len,
            bytes(data[tail:hdr_len]),
        )
        header._check(len(data))
        return header

    def _check(self, size: int) -> None:
        def bad(offset: int, message: str) -> BtfFormatError:
            return BtfFormatError(f"header at {offset:#x}: {message}", offset=offset)

        body = size - self.hdr_len
        types_end = self.type_off + self.type_len
        if self.type_off % 4:
            raise bad(8, f"type_off {self.type_off:#x} is not a multiple of 4")
        if self.str_off + self.str_len > body:
            raise bad(
                16,
                f"strings end {self.str_off + self.str_len:#x} bytes past the header, "
                f"data ends {body:#x} bytes past it",
            )
        if types_end > self.str_off:
            raise bad(8, f"types end at {types_end:#x}, past the strings' start {self.str_off:#x}")
        if self.layout_len:
            if self.layout_off % 4 or self.layout_len % LAYOUT_ENTRY_LEN:
                raise bad(
                    24,
                    f"layout section {self.layout_off:#x}+{self.layout_len:#x} "
                    "is not a multiple of 4",
                )
            layout_end = self.layout_off + self.layout_len
            if self.layout_off < types_end or layout_end > self.str_off:
                raise bad(
                    24,
                    f"layout section {self.layout_off:#x}+{self.layout_len:#x} does not lie "
                    f"between types' end {types_end:#x} and strings' start {self.str_off:#x}",
                )

    def pack(self) -> bytes:
        """Return the header's ``hdr_len`` bytes."""
        char = "<" if self.byteorder == "little" else ">"
        out = struct.pack(
            char + "HBB5I",
            MAGIC,
            self.version,
            self.flags,
            self.hdr_len,
            self.type_off,
            self.type_len,
            self.str_off,
            self.str_len,
        )
        if self.hdr_len >= HEADER_LEN_LAYOUT:
            out += struct.pack(char + "2I", self.layout_off, self.layout_len)
        return out + self.tail
