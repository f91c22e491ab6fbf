"""BTF from text: bpftool's raw notation, in.

Owns the reading of what ``rawtext`` writes, suffixes and exact heads included, and
of what bpftool itself writes. More is allowed to those who write by hand: blank
lines and ``#`` comments, no ``vlen`` (counted), an INT with ``size`` only.

Ids must count up from the first one free, so that a text without its base, or with
a type missing, is noticed.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final, TypeAlias

from btfdbg.btf.btf import Btf, string_sections
from btfdbg.btf.format import HEADER_LEN, HEADER_LEN_LAYOUT, Kind, LocFlag, make_info
from btfdbg.btf.header import ByteOrder
from btfdbg.btf.pack import layout_section, pack
from btfdbg.btf.string_table import StringTable
from btfdbg.btf.strings import encode_name
from btfdbg.btf.text.notation import ENCODING_OF, LINKAGES, unescape
from btfdbg.errors import BtfFormatError

TYPE_LINE: Final = re.compile(
    r"\[(\d+)\] (\w+) (?:'(.*)')?(?:@(0x[0-9a-f]+))?((?: .*)?)", re.DOTALL
)
NAMED_ROW: Final = re.compile(r"\s+(?:'(.*)')?(?:@(0x[0-9a-f]+))?((?: .*)?)", re.DOTALL)
LABEL: Final = re.compile(r" \(\w+ .*\)$", re.DOTALL)
_ATTRS: Final = re.compile(r"(\w+)=(\([^)]*\)|[^\s,]+),?(?: \((\d+)\))?")
_KINDS: Final = {kind.name: kind.value for kind in Kind if kind}
_LOC_FLAGS: Final = {str(flag.name): flag.value for flag in LocFlag if flag}


class Attrs:
    """``key=value`` words of one line, each to be taken once."""

    def __init__(self, text: str) -> None:
        self.values: dict[str, str] = {}
        at = 0
        for match in _ATTRS.finditer(text):
            if text[at : match.start()].strip():
                break
            value = match[2]
            if match[3] is not None:  # linkage=(unknown) (7)
                value = match[3]
            if match[1] in self.values:
                raise BtfFormatError(f"{match[1]} given twice")
            self.values[match[1]] = value
            at = match.end()
        if text[at:].strip():
            raise BtfFormatError(f"cannot read {text[at:].strip()!r}")

    def text(self, key: str, default: str | None = None) -> str:
        value = self.values.pop(key, default)
        if value is None:
            raise BtfFormatError(f"{key}= is missing")
        return value

    def number(self, key: str, default: int | None = None) -> int:
        text = self.text(key, None if default is None else str(default))
        try:
            return int(text.removesuffix("ULL").removesuffix("LL"), 0)
        except ValueError:
            raise BtfFormatError(f"{key}={text}: expected a number") from None

    def u32(self, key: str, default: int | None = None) -> int:
        value = self.number(key, default)
        if not -(1 << 31) <= value < 1 << 32:
            raise BtfFormatError(f"{key}={value} does not fit 32 bits")
        return value & 0xFFFFFFFF

    def done(self) -> None:
        if self.values:
            raise BtfFormatError(f"{next(iter(self.values))}= does not belong here")


_Row: TypeAlias = "Callable[[_Assembler, str], tuple[int, ...]]"


class _Assembler:
    def __init__(self, base: Btf | None) -> None:
        self.base = base
        self.strings = StringTable(string_sections(base))
        self.next_id = 1 if base is None else base.type_cnt
        self.words: list[int] = []
        self.byteorder: ByteOrder = base.byteorder if base is not None else "little"
        self.version = 1
        self.flags = 0
        self.hdr_len = HEADER_LEN
        self.tail = b""
        self.layout = b""
        # The type, or the .strings, that indented lines belong to.
        self.kind = ""
        self.head: tuple[int, Attrs] = (0, Attrs(""))
        self.rows: list[int] = []
        self.row_count = 0
        self.bitfields = False
        self.negative = False

    def name(self, quoted: str | None, offset: str | None) -> int:
        if offset is not None:
            return int(offset, 16)
        if quoted is None:
            raise BtfFormatError("expected a name in quotes")
        if quoted == "(anon)":
            return 0
        name = unescape(quoted)
        if not name:
            return self.strings.add_empty()
        return self.strings.add(name)

    def named_row(self, line: str) -> tuple[int, Attrs]:
        match = NAMED_ROW.fullmatch(line)
        if match is None:
            raise BtfFormatError("expected a name in quotes")
        return self.name(match[1], match[2]), Attrs(match[3])


def _member(asm: _Assembler, line: str) -> tuple[int, ...]:
    name, attrs = asm.named_row(line)
    size = attrs.number("bitfield_size", 0)
    offset = attrs.u32("bits_offset")
    if size:
        asm.bitfields = True
        if not 0 < size < 256 or offset > 0xFFFFFF:
            raise BtfFormatError(f"{size} bits at {offset} do not fit 8 and 24 bits")
    row = (name, attrs.u32("type_id"), size << 24 | offset)
    attrs.done()
    return row


def _value(asm: _Assembler, line: str) -> tuple[int, ...]:
    name, attrs = asm.named_row(line)
    value = attrs.number("val")
    if not -(1 << 31) <= value < 1 << 32:
        raise BtfFormatError(f"val={value} does not fit 32 bits")
    asm.negative = asm.negative or value < 0
    attrs.done()
    return (name, value & 0xFFFFFFFF)


def _value64(asm: _Assembler, line: str) -> tuple[int, ...]:
    name, attrs = asm.named_row(line)
    value = attrs.number("val")
    if not -(1 << 63) <= value < 1 << 64:
        raise BtfFormatError(f"val={value} does not fit 64 bits")
    asm.negative = asm.negative or value < 0
    attrs.done()
    return (name, value & 0xFFFFFFFF, value >> 32 & 0xFFFFFFFF)


def _param(asm: _Assembler, line: str) -> tuple[int, ...]:
    name, attrs = asm.named_row(line)
    row = (name, attrs.u32("type_id"))
    attrs.done()
    return row


def _plain(*keys: str) -> _Row:
    def row(asm: _Assembler, line: str) -> tuple[int, ...]:
        attrs = Attrs(LABEL.sub("", line))
        out = tuple(attrs.u32(key) for key in keys)
        attrs.done()
        return out

    return row


_ROWS: Final[dict[str, _Row]] = {
    "STRUCT": _member,
    "UNION": _member,
    "ENUM": _value,
    "ENUM64": _value64,
    "FUNC_PROTO": _param,
    "DATASEC": _plain("type_id", "offset", "size"),
    "LOC_PARAM": _plain("value"),
    "LOC_PROTO": _plain("type_id"),
    "LOCSEC": _plain("func", "loc_proto", "offset"),
}
_UNKNOWN_ROW: Final = _plain("word")


def _integer(text: str, key: str, expected: str) -> int:
    try:
        return int(text, 0)
    except ValueError:
        raise BtfFormatError(f"{key}={text}: expected {expected} or a number") from None


def _linkage(attrs: Attrs) -> int:
    text = attrs.text("linkage", "static")
    if text in LINKAGES:
        return LINKAGES.index(text)
    return _integer(text, "linkage", ", ".join(LINKAGES))


def _signed(attrs: Attrs, negative: bool) -> bool:
    # Older bpftools do not say; a negative value does then.
    text = attrs.text("encoding", "SIGNED" if negative else "UNSIGNED")
    if text not in ("SIGNED", "UNSIGNED"):
        raise BtfFormatError(f"encoding={text}: expected SIGNED or UNSIGNED")
    return text == "SIGNED"


def _int_data(attrs: Attrs, size: int) -> int:
    offset = attrs.number("bits_offset", 0)
    bits = attrs.number("nr_bits", min(8 * size, 255))
    encoding = attrs.text("encoding", "(none)")
    number = ENCODING_OF.get(encoding, 0)
    if encoding not in ENCODING_OF and encoding != "UNKN":
        raise BtfFormatError(f"encoding={encoding}: expected one of {', '.join(ENCODING_OF)}")
    if not 0 <= offset < 256 or not 0 <= bits < 256:
        raise BtfFormatError("bits_offset and nr_bits must fit 8 bits")
    return attrs.u32("int_data", number << 24 | offset << 16 | bits)


def _loc_flags(text: str) -> int:
    flags = 0
    for word in text.split("|"):
        known = _LOC_FLAGS.get(word)
        flags |= _integer(word, "flags", "|".join(_LOC_FLAGS)) if known is None else known
    return flags


def _words(asm: _Assembler, kind: str, attrs: Attrs) -> tuple[int, bool, int, list[int]]:
    """Return vlen, kind_flag, third word and the words that follow once."""
    vlen = asm.row_count
    match kind:
        case "INT":
            size = attrs.u32("size")
            return vlen, False, size, [_int_data(attrs, size)]
        case "ARRAY":
            words = [attrs.u32("type_id"), attrs.u32("index_type_id"), attrs.u32("nr_elems")]
            return vlen, False, attrs.u32("unused", 0), words
        case "STRUCT" | "UNION":
            return vlen, asm.bitfields, attrs.u32("size"), []
        case "ENUM" | "ENUM64":
            return vlen, _signed(attrs, asm.negative), attrs.u32("size"), []
        case "FWD":
            word = attrs.text("fwd_kind")
            if word not in ("struct", "union"):
                raise BtfFormatError(f"fwd_kind={word}: expected struct or union")
            return vlen, word == "union", attrs.u32("unused", 0), []
        case "FUNC":
            return _linkage(attrs), False, attrs.u32("type_id"), []
        case "FUNC_PROTO":
            return vlen, False, attrs.u32("ret_type_id"), []
        case "VAR":
            return vlen, False, attrs.u32("type_id"), [_linkage(attrs)]
        case "DATASEC" | "FLOAT":
            return vlen, False, attrs.u32("size"), []
        case "DECL_TAG":
            return vlen, False, attrs.u32("type_id"), [attrs.u32("component_idx", -1)]
        case "LOC_PARAM":
            return vlen, False, attrs.u32("size"), [_loc_flags(attrs.text("flags", "0"))]
        case "LOC_PROTO" | "LOCSEC":
            return vlen, False, attrs.u32("unused", 0), []
        case "PTR" | "TYPEDEF" | "VOLATILE" | "CONST" | "RESTRICT" | "TYPE_TAG":
            return vlen, False, attrs.u32("type_id"), []
    return vlen, False, attrs.u32("third", 0), []


def _finish(asm: _Assembler) -> None:
    """Append the record that a head and its rows describe."""
    kind = asm.kind
    name, attrs = asm.head
    vlen, kflag, third, info = _words(asm, kind, attrs)
    if "vlen" in attrs.values:
        given = attrs.number("vlen")
        if kind in _ROWS and given != asm.row_count:
            raise BtfFormatError(f"vlen={given}, but {asm.row_count} lines follow")
        vlen = given
    kflag = bool(attrs.number("kflag", int(kflag)))
    attrs.done()
    if not 0 <= vlen <= 0xFFFFFF:
        raise BtfFormatError(f"vlen={vlen} does not fit 24 bits")
    if asm.row_count and kind not in _ROWS and kind in _KINDS:
        raise BtfFormatError(f"{kind} takes no indented lines")
    if asm.bitfields and not kflag:
        raise BtfFormatError("bitfield_size with kflag=0")
    number = _KINDS[kind] if kind in _KINDS else int(kind.removeprefix("KIND_"))
    asm.words += (name, make_info(number, vlen, kflag), third)
    asm.words += info
    asm.words += asm.rows


def _start(asm: _Assembler, line: str) -> None:
    match = TYPE_LINE.fullmatch(line)
    if match is None:
        raise BtfFormatError("expected [id] KIND 'name' ...")
    type_id = int(match[1])
    if type_id != asm.next_id:
        hint = "; is the base missing?" if asm.next_id == 1 else ""
        raise BtfFormatError(f"type {type_id}, expected {asm.next_id}{hint}")
    kind = match[2]
    if kind not in _KINDS and not (
        kind.startswith("KIND_") and kind[5:].isdecimal() and int(kind[5:]) < 128
    ):
        raise BtfFormatError(f"unknown kind {kind}")
    asm.next_id += 1
    asm.kind = kind
    asm.head = (asm.name(match[3], match[4]), Attrs(match[5]))
    asm.rows = []
    asm.row_count = 0
    asm.bitfields = False
    asm.negative = False


def _directive(asm: _Assembler, line: str) -> None:
    word, _, rest = line.partition(" ")
    if asm.words:
        raise BtfFormatError(f"{word} after the first type")
    match word:
        case ".header":
            attrs = Attrs(rest)
            order = attrs.text("byteorder", "little")
            if order not in ("little", "big"):
                raise BtfFormatError(f"byteorder={order}: expected little or big")
            asm.byteorder = "little" if order == "little" else "big"
            asm.version = attrs.number("version", 1)
            asm.flags = attrs.number("flags", 0)
            asm.tail = bytes.fromhex(attrs.text("tail", ""))
            asm.hdr_len = attrs.number("hdr_len", HEADER_LEN) - len(asm.tail)
            if asm.hdr_len not in (HEADER_LEN, HEADER_LEN_LAYOUT):
                raise BtfFormatError(f"hdr_len={asm.hdr_len} and a tail of {len(asm.tail)} bytes")
            if not 0 <= asm.version < 256 or not 0 <= asm.flags < 256:
                raise BtfFormatError("version and flags must fit 8 bits")
            attrs.done()
        case ".layout":
            asm.layout = bytes.fromhex(rest) or layout_section(asm.byteorder)
        case ".strings":
            attrs = Attrs(rest)
            attrs.number("bytes", 0)
            attrs.done()
            asm.kind = word
            asm.strings = StringTable(string_sections(asm.base))
            asm.strings.data.clear()
        case _:
            raise BtfFormatError(f"unknown line {word}")


def _row(asm: _Assembler, line: str) -> None:
    if not asm.kind:
        raise BtfFormatError("indented line before the first type")
    if asm.kind == ".strings":
        match = NAMED_ROW.fullmatch(line)
        if match is None or match[1] is None or match[3]:
            raise BtfFormatError("expected a string in quotes")
        asm.strings.data += encode_name(unescape(match[1])) + b"\0"
        return
    parse = _ROWS.get(asm.kind, _UNKNOWN_ROW)
    asm.rows += parse(asm, line)
    asm.row_count += 1


def _end_of(asm: _Assembler) -> None:
    """Finish what indented lines belonged to."""
    if asm.kind == ".strings":
        asm.strings = StringTable(string_sections(asm.base), bytes(asm.strings.data))
    elif asm.kind:
        _finish(asm)
    asm.kind = ""


def assemble(text: str, base: Btf | None = None) -> bytes:
    """
    Return the BTF that a text describes.

    :param text: Output of :func:`rawtext.dump` or bpftool, or written by hand.
    :param base: What the text's ids and strings go on from; its byte order is taken
        unless the text says otherwise.
    :raises BtfFormatError: with the number of the line that cannot be read.
    """
    asm = _Assembler(base)
    number = started = 0
    try:
        for number, line in enumerate(text.replace("\r\n", "\n").split("\n"), 1):
            if not line or line.isspace() or line[0] == "#":
                continue
            if line[0] in "\t ":
                _row(asm, line)
                continue
            number, started = started, number
            _end_of(asm)
            number = started
            if line[0] == ".":
                _directive(asm, line)
            else:
                _start(asm, line)
        number = started
        _end_of(asm)
    except ValueError as error:
        raise BtfFormatError(f"line {number}: {error}") from None
    if asm.base is None and not asm.strings.data:
        asm.strings.data += b"\0"
    return pack(
        asm.words,
        asm.strings.data,
        byteorder=asm.byteorder,
        header_len=asm.hdr_len,
        layout=asm.layout,
        version=asm.version,
        flags=asm.flags,
        header_tail=asm.tail,
    )


def parse(text: str, base: Btf | None = None) -> Btf:
    """Return the BTF that a text describes, parsed; see :func:`assemble`."""
    return Btf.parse(assemble(text, base), base)
