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

from btfdbg.btf.layouts import (
    HEADER_LEN,
    HEADER_LEN_LAYOUT,
    LAYOUT_ENTRY_LEN,
    MAGIC,
    VERSION,
)
from btfdbg.errors import BtfFormatError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Literal, TypeAlias

ByteOrder: TypeAlias = "Literal['little', 'big']"


class Header:
    """
    ``struct btf_header``. Section offsets count from the end of the header.

    Nobody changes one. It is no dataclass, which would take longer to make than to read
    the header, and longer still with what has to be imported for it.

    :ivar tail: Bytes of the header past the fields known here.
    """

    __slots__ = (
        "byteorder",
        "flags",
        "hdr_len",
        "layout_len",
        "layout_off",
        "str_len",
        "str_off",
        "tail",
        "type_len",
        "type_off",
        "version",
    )

    def __init__(
        self,
        byteorder: ByteOrder,
        version: int = VERSION,
        flags: int = 0,
        hdr_len: int = HEADER_LEN,
        type_off: int = 0,
        type_len: int = 0,
        str_off: int = 0,
        str_len: int = 0,
        layout_off: int = 0,
        layout_len: int = 0,
        tail: bytes = b"",
    ) -> None:
        self.byteorder: ByteOrder = byteorder
        self.version = version
        self.flags = flags
        self.hdr_len = hdr_len
        self.type_off = type_off
        self.type_len = type_len
        self.str_off = str_off
        self.str_len = str_len
        self.layout_off = layout_off
        self.layout_len = layout_len
        self.tail = tail

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
        header = cls.peek(data)
        hdr_len = header.hdr_len
        if hdr_len > len(data):
            raise BtfFormatError(
                f"header at 0x4: hdr_len is {hdr_len}, data has {len(data)} bytes", offset=4
            )
        header._check(len(data))
        return header

    @classmethod
    def peek(cls, data: memoryview) -> Header:
        """
        Read the fields of a header, with or without what follows it.

        Sections are not checked against anything: for who looks for BTF in memory.

        :param data: At least the first 24 bytes; layout fields are 0 if they are not in it.
        :raises BtfFormatError: magic or ``hdr_len`` are no header's.
        """
        if len(data) < HEADER_LEN:
            raise BtfFormatError(
                f"header at 0x0: needs {HEADER_LEN} bytes, data has {len(data)}", offset=0
            )
        order: ByteOrder
        if data[0] == MAGIC & 0xFF and data[1] == MAGIC >> 8:
            order = "little"
        elif data[0] == MAGIC >> 8 and data[1] == MAGIC & 0xFF:
            order = "big"
        else:
            raise BtfFormatError(
                f"header at 0x0: magic bytes {data[:2].hex()}, expected 9feb or eb9f", offset=0
            )

        def word(at: int) -> int:
            return int.from_bytes(data[at : at + 4], order)

        hdr_len = word(4)
        if hdr_len < HEADER_LEN:
            raise BtfFormatError(
                f"header at 0x4: hdr_len is {hdr_len}, expected at least {HEADER_LEN}", offset=4
            )
        has_layout = min(hdr_len, len(data)) >= HEADER_LEN_LAYOUT
        return cls(
            order,
            version=data[2],
            flags=data[3],
            hdr_len=hdr_len,
            type_off=word(8),
            type_len=word(12),
            str_off=word(16),
            str_len=word(20),
            layout_off=word(24) if has_layout else 0,
            layout_len=word(28) if has_layout else 0,
            tail=bytes(data[HEADER_LEN_LAYOUT if has_layout else HEADER_LEN : hdr_len]),
        )

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
        words = [self.hdr_len, self.type_off, self.type_len, self.str_off, self.str_len]
        if self.hdr_len >= HEADER_LEN_LAYOUT:
            words += (self.layout_off, self.layout_len)
        out = MAGIC.to_bytes(2, self.byteorder) + bytes((self.version, self.flags))
        return out + b"".join([word.to_bytes(4, self.byteorder) for word in words]) + self.tail
