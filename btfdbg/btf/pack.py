"""Sections into the bytes of a blob.

Owns the order of sections and the layout section; what is in the types and strings is
for others to say.
Facts: Documentation/bpf/btf.rst; ``struct btf_header`` and ``struct btf_layout`` in
include/uapi/linux/btf.h.
"""

from __future__ import annotations

import sys
from array import array

from btfdbg.btf.header import Header
from btfdbg.btf.layouts import HEADER_LEN, HEADER_LEN_LAYOUT, LAYOUTS
from btfdbg.errors import BtfFormatError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from btfdbg.btf.btf import Btf
    from btfdbg.btf.header import ByteOrder


def pack(
    words: array[int] | memoryview | Sequence[int],
    strings: bytes | bytearray,
    *,
    byteorder: ByteOrder = "little",
    header_len: int = HEADER_LEN,
    layout: bytes = b"",
    version: int = 1,
    flags: int = 0,
    header_tail: bytes = b"",
) -> bytes:
    """
    Return a blob from its sections, which then tile it: header, types, layout, strings.

    :param words: The type section, native u32.
    :param layout: A layout section in ``byteorder``; makes the header 32 bytes or longer.
    :param header_tail: Bytes after the header's known fields.
    """
    section = array("I", words)
    if byteorder != sys.byteorder:
        section.byteswap()
    types = section.tobytes()
    known = HEADER_LEN_LAYOUT if layout or header_len >= HEADER_LEN_LAYOUT else HEADER_LEN
    header = Header(
        byteorder,
        version=version,
        flags=flags,
        hdr_len=known + len(header_tail),
        type_len=len(types),
        layout_off=len(types) if layout else 0,
        layout_len=len(layout),
        str_off=len(types) + len(layout),
        str_len=len(strings),
        tail=header_tail,
    )
    return b"".join((header.pack(), types, layout, strings))


def layout_section(byteorder: ByteOrder = "little") -> bytes:
    """
    Return the layout section of the kinds known here, which starts with void's row.

    Its flags, the only field wider than a byte, are 0: it is the same in either order.
    """
    out = [bytes(4)]
    for kind in sorted(LAYOUTS):
        row = LAYOUTS[kind]
        out.append(bytes((4 * row.info_words, 4 * row.elem_words, 0, 0)))
    return b"".join(out)


def layout_bytes(btf: Btf) -> bytes:
    """Return the layout section of a Btf as it stands, empty if it has none."""
    start = btf.header.hdr_len + btf.header.layout_off
    return bytes(btf.raw[start : start + btf.header.layout_len])


def swap_layout(section: bytes) -> bytes:
    """Return a layout section in the other byte order: of a row, only the flags have one."""
    swapped = bytearray(section)
    swapped[2::4], swapped[3::4] = section[3::4], section[2::4]
    return bytes(swapped)


def require_known_header(btf: Btf) -> None:
    """
    Make sure that nothing in a Btf's header is unknown here.

    :raises BtfFormatError: a field past those known is not 0 (row H09).
    """
    if any(btf.header.tail):
        raise BtfFormatError(
            f"header of {btf.header.hdr_len} bytes has fields that are not known here: "
            "this BTF can be read but not changed",
            offset=HEADER_LEN_LAYOUT,
        )


def pack_like(
    btf: Btf,
    words: array[int] | memoryview,
    strings: bytes | bytearray | None = None,
    *,
    byteorder: ByteOrder | None = None,
    keep_layout: bool = True,
) -> bytes:
    """
    Return a blob with the header and layout section of a Btf, and other contents.

    :param words: The type section, native u32.
    :param strings: The string section; by default the Btf's.
    :param byteorder: By default the Btf's.
    :raises BtfFormatError: its header has fields that are not known here.
    """
    require_known_header(btf)
    order = byteorder or btf.byteorder
    header = btf.header
    layout = layout_bytes(btf) if keep_layout else b""
    if order != btf.byteorder:
        layout = swap_layout(layout)
    return pack(
        words,
        btf.strings.data if strings is None else strings,
        byteorder=order,
        header_len=header.hdr_len,
        layout=layout,
        version=header.version,
        flags=header.flags,
        header_tail=header.tail,
    )


def with_byteorder(btf: Btf, byteorder: ByteOrder) -> bytes:
    """Return the bytes of a BTF in a byte order; sections then tile them."""
    return pack_like(btf, btf.words, byteorder=byteorder)
