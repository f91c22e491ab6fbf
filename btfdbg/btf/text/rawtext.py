"""BTF as text: bpftool's raw notation, out.

Owns the notation; ``assemble`` reads it back. What bpftool prints for what kernels
hold is printed byte for byte (bpftool 7.8, and 7.1 but for ENUM's encoding=).

Suffix rules, where bpftool's notation cannot say what the record holds. None but
the first occurs in kernels up to 6.14:

- `` kflag=1``: kind_flag set where the line does not show it. Kernels from 6.15 on
  set it on a TYPE_TAG or DECL_TAG that stands for any C attribute.
  (Shown otherwise: FWD's by fwd_kind, ENUM's by encoding, and a struct's is set
  exactly if a member has a bitfield_size.)
- `` vlen=N`` on kinds that have none; `` linkage=(unknown) (N)``.
- `` int_data=0xN``: reserved bits, or an encoding that is no single flag.
- `` unused=N``: the third word of an ARRAY, FWD, LOC_PROTO or LOCSEC.
- a name with control characters or backslashes, or that reads ``(anon)`` itself, is
  escaped as in Python; ``@0xN`` stands for a name whose offset is not in the strings
  (bpftool: ``'(invalid)'``).
- Kinds 20 to 22 and unknown ones have lines of our own.

Facts: output of bpftool on the kernels tested; tools/bpf/bpftool/btf.c.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import accumulate, count
from operator import sub
from typing import TypeAlias

from btfdbg.btf.btf import Btf, string_sections
from btfdbg.btf.format import Kind, LocFlag, kind_name
from btfdbg.btf.string_table import StringTable
from btfdbg.btf.strings import decode_name, encode_name
from btfdbg.btf.text.notation import ENCODINGS, LINKAGES, SPECIAL_BYTES, escape
from btfdbg.errors import BtfFormatError

# Types to a chunk of output.
_CHUNK = 8192

_Line: TypeAlias = "Callable[[list[int], int, int, int, dict[int, str]], str]"


_Names: TypeAlias = "dict[int, str]"


class _Quoted:
    """
    String offsets to quoted names: a plain dict, filled at once or when one is missed.

    Filled at once from the own section where most of it will be wanted, by operations
    on the whole section: a string at a time would take as long as all the rest.

    :param table: In an exact dump, where ``assemble`` will find names.
    """

    def __init__(self, btf: Btf, table: StringTable | None = None) -> None:
        self._btf = btf
        self._table = table
        self.names: dict[int, str] = {}
        data = btf.strings.data
        if (
            table is None
            and len(btf.offsets) > len(data) >> 10
            and data.isascii()
            and len(data.translate(None, SPECIAL_BYTES)) == len(data)
            and b"\0(anon)\0" not in data
        ):
            quoted = ("'" + decode_name(data[:-1]).replace("\0", "'\0'") + "'").split("\0")
            # Each is one byte longer than what it takes in the section, NUL included.
            ends = accumulate(map(len, quoted), initial=btf.start_str_off)
            self.names = dict(zip(map(sub, ends, count()), quoted, strict=False))
        self.names[0] = "'(anon)'"

    def fill(self, offset: int) -> None:
        """Enter the name at an offset, which an attempt to write a type has missed."""
        try:
            name = self._btf.string(offset)
        except BtfFormatError:
            text = f"@{offset:#x}"
        else:
            text = f"'{escape(name)}'"
            if self._table is not None and self._table.find(encode_name(name)) != offset:
                text += f"@{offset:#x}"
        self.names[offset] = text


def _kflag(info: int) -> str:
    return " kflag=1" if info >> 31 else ""


def _flags(info: int) -> str:
    """Return the suffixes of a kind that has neither vlen nor kind_flag."""
    if not info & 0x80FFFFFF:
        return ""
    vlen = info & 0xFFFFFF
    return (f" vlen={vlen}" if vlen else "") + _kflag(info)


def _unused(word: int) -> str:
    return f" unused={word}" if word else ""


def _int(w: list[int], pos: int, end: int, info: int, names: _Names) -> str:
    data = w[pos + 3]
    encoding = data >> 24 & 0xF
    text = (
        f" size={w[pos + 2]} bits_offset={data >> 16 & 0xFF} nr_bits={data & 0xFF}"
        f" encoding={ENCODINGS.get(encoding, 'UNKN')}"
    )
    if data & 0xF000FF00 or encoding not in ENCODINGS:
        text += f" int_data={data:#x}"
    return text + _flags(info)


def _ref(w: list[int], pos: int, end: int, info: int, names: _Names) -> str:
    if info & 0x80FFFFFF:
        return f" type_id={w[pos + 2]}" + _flags(info)
    return f" type_id={w[pos + 2]}"


def _array(w: list[int], pos: int, end: int, info: int, names: _Names) -> str:
    return (
        f" type_id={w[pos + 3]} index_type_id={w[pos + 4]} nr_elems={w[pos + 5]}"
        + _unused(w[pos + 2])
        + _flags(info)
    )


def _composite(w: list[int], pos: int, end: int, info: int, names: _Names) -> str:
    rows = zip(w[pos + 3 : end : 3], w[pos + 4 : end : 3], w[pos + 5 : end : 3], strict=True)
    if info >> 31:
        body = "".join(
            [
                f"\n\t{names[n]} type_id={t} bits_offset={o & 0xFFFFFF} bitfield_size={o >> 24}"
                if o >> 24
                else f"\n\t{names[n]} type_id={t} bits_offset={o}"
                for n, t, o in rows
            ]
        )
        suffix = "" if any(o >> 24 for o in w[pos + 5 : end : 3]) else " kflag=1"
        return f" size={w[pos + 2]} vlen={info & 0xFFFFFF}{suffix}{body}"
    body = "".join([f"\n\t{names[n]} type_id={t} bits_offset={o}" for n, t, o in rows])
    return f" size={w[pos + 2]} vlen={info & 0xFFFFFF}{body}"


def _enum(w: list[int], pos: int, end: int, info: int, names: _Names) -> str:
    values = w[pos + 4 : end : 2]
    encoding = "UNSIGNED"
    if info >> 31:
        encoding = "SIGNED"
        values = [v - (v >> 31 << 32) for v in values]
    body = "".join(
        [f"\n\t{names[n]} val={v}" for n, v in zip(w[pos + 3 : end : 2], values, strict=True)]
    )
    return f" encoding={encoding} size={w[pos + 2]} vlen={info & 0xFFFFFF}{body}"


def _enum64(w: list[int], pos: int, end: int, info: int, names: _Names) -> str:
    encoding, suffix, sign = ("SIGNED", "LL", 63) if info >> 31 else ("UNSIGNED", "ULL", 64)
    rows = zip(w[pos + 3 : end : 3], w[pos + 4 : end : 3], w[pos + 5 : end : 3], strict=True)
    values = [(n, lo | hi << 32) for n, lo, hi in rows]
    body = "".join([f"\n\t{names[n]} val={v - (v >> sign << 64)}{suffix}" for n, v in values])
    return f" encoding={encoding} size={w[pos + 2]} vlen={info & 0xFFFFFF}{body}"


def _fwd(w: list[int], pos: int, end: int, info: int, names: _Names) -> str:
    return (
        f" fwd_kind={'union' if info >> 31 else 'struct'}"
        + _unused(w[pos + 2])
        + _flags(info & 0x7FFFFFFF)
    )


def _linkage(value: int) -> str:
    return LINKAGES[value] if value < 3 else f"(unknown) ({value})"


def _func(w: list[int], pos: int, end: int, info: int, names: _Names) -> str:
    return f" type_id={w[pos + 2]} linkage={_linkage(info & 0xFFFFFF)}{_kflag(info)}"


def _func_proto(w: list[int], pos: int, end: int, info: int, names: _Names) -> str:
    body = "".join(
        [
            f"\n\t{names[n]} type_id={t}"
            for n, t in zip(w[pos + 3 : end : 2], w[pos + 4 : end : 2], strict=True)
        ]
    )
    return f" ret_type_id={w[pos + 2]} vlen={info & 0xFFFFFF}{_kflag(info)}{body}"


def _var(w: list[int], pos: int, end: int, info: int, names: _Names) -> str:
    return f" type_id={w[pos + 2]}, linkage={_linkage(w[pos + 3])}{_flags(info)}"


def _float(w: list[int], pos: int, end: int, info: int, names: _Names) -> str:
    return f" size={w[pos + 2]}{_flags(info)}"


def _decl_tag(w: list[int], pos: int, end: int, info: int, names: _Names) -> str:
    index = w[pos + 3]
    return f" type_id={w[pos + 2]} component_idx={index - (index >> 31 << 32)}{_flags(info)}"


def _loc_param(w: list[int], pos: int, end: int, info: int, names: _Names) -> str:
    flags = w[pos + 3]
    known = [f.name or "" for f in LocFlag if f and flags & f]
    rest = flags & ~0x3F
    text = "|".join([*known, *([f"{rest:#x}"] if rest else [])]) or "0"
    body = "".join([f"\n\tvalue={v}" for v in w[pos + 4 : end]])
    return f" size={w[pos + 2]} flags={text} vlen={info & 0xFFFFFF}{_kflag(info)}{body}"


def _loc_proto(w: list[int], pos: int, end: int, info: int, names: _Names) -> str:
    body = "".join([f"\n\ttype_id={v}" for v in w[pos + 3 : end]])
    return f" vlen={info & 0xFFFFFF}{_unused(w[pos + 2])}{_kflag(info)}{body}"


def _locsec(w: list[int], pos: int, end: int, info: int, names: _Names) -> str:
    rows = zip(w[pos + 3 : end : 3], w[pos + 4 : end : 3], w[pos + 5 : end : 3], strict=True)
    body = "".join([f"\n\tfunc={f} loc_proto={p} offset={o}" for f, p, o in rows])
    return f" vlen={info & 0xFFFFFF}{_unused(w[pos + 2])}{_kflag(info)}{body}"


def _unknown(w: list[int], pos: int, end: int, info: int, names: _Names) -> str:
    body = "".join([f"\n\tword={v:#x}" for v in w[pos + 3 : end]])
    return f" third={w[pos + 2]} vlen={info & 0xFFFFFF}{_kflag(info)}{body}"


_LINES: dict[int, _Line] = {
    Kind.INT: _int,
    Kind.PTR: _ref,
    Kind.ARRAY: _array,
    Kind.STRUCT: _composite,
    Kind.UNION: _composite,
    Kind.ENUM: _enum,
    Kind.FWD: _fwd,
    Kind.TYPEDEF: _ref,
    Kind.VOLATILE: _ref,
    Kind.CONST: _ref,
    Kind.RESTRICT: _ref,
    Kind.FUNC: _func,
    Kind.FUNC_PROTO: _func_proto,
    Kind.VAR: _var,
    Kind.FLOAT: _float,
    Kind.DECL_TAG: _decl_tag,
    Kind.TYPE_TAG: _ref,
    Kind.ENUM64: _enum64,
    Kind.LOC_PARAM: _loc_param,
    Kind.LOC_PROTO: _loc_proto,
    Kind.LOCSEC: _locsec,
}


def _datasec(btf: Btf) -> _Line:
    """Return DATASEC's line, the only one that needs the types it refers to."""

    def line(w: list[int], pos: int, end: int, info: int, names: _Names) -> str:
        out = [f" size={w[pos + 2]} vlen={info & 0xFFFFFF}{_kflag(info)}"]
        for type_id, offset, size in zip(
            w[pos + 3 : end : 3], w[pos + 4 : end : 3], w[pos + 5 : end : 3], strict=True
        ):
            label = ""
            if not type_id:
                label = " (UNKNOWN '(anon)')"
            elif type_id < btf.type_cnt:
                record = btf.record(type_id)
                label = f" ({kind_name(record[1] >> 24 & 0x7F)} {names[record[0]]})"
            out.append(f"\n\ttype_id={type_id} offset={offset} size={size}{label}")
        return "".join(out)

    return line


def _exact_head(btf: Btf) -> str:
    """Return the lines from which ``assemble`` makes the same header and strings."""
    header = btf.header
    out = [
        f".header byteorder={btf.byteorder} version={header.version} flags={header.flags:#x}"
        f" hdr_len={header.hdr_len}" + (f" tail={header.tail.hex()}" if header.tail else "")
    ]
    if header.layout_len:
        start = header.hdr_len + header.layout_off
        section = btf.raw[start : start + header.layout_len]
        out.append(f".layout {section.hex()}")
    data = btf.strings.data
    out.append(f".strings bytes={len(data)}")
    out += [f"\t'{escape(decode_name(name))}'" for name in data.split(b"\0")[:-1]]
    return "\n".join(out) + "\n"


def dump(btf: Btf, *, exact: bool = False) -> Iterator[str]:
    """
    Yield the own types of a BTF as text, in chunks that each end in a line's end.

    :param exact: Start with lines for header, layout and string section, and mark
        names of which the section has several, so that the very bytes come back
        (but for gaps between sections). Otherwise strings come back in order of use.

    Undecodable bytes of names are surrogates: encode with ``surrogateescape`` to get
    what bpftool writes.
    """
    quoted = _Quoted(btf)
    if exact:
        yield _exact_head(btf)
        quoted = _Quoted(btf, StringTable(string_sections(btf.base), btf.strings.data))
    names = quoted.names
    lines = {**_LINES, Kind.DATASEC: _datasec(btf)}
    heads = {kind: f"] {kind_name(kind)} " for kind in range(128)}
    offsets = btf.offsets
    for first in range(0, len(offsets), _CHUNK):
        starts = offsets[first : first + _CHUNK]
        base = starts[0]
        ends = list(offsets[first + 1 : first + _CHUNK + 1])
        if len(ends) < len(starts):
            ends.append(len(btf.words))
        w = btf.words[base : ends[-1]].tolist()
        out: list[str] = []
        type_id = btf.start_id + first
        for start, end in zip(starts, ends, strict=True):
            pos = start - base
            info = w[pos + 1]
            kind = info >> 24 & 0x7F
            line = lines.get(kind, _unknown)
            while True:
                try:
                    out.append(
                        f"[{type_id}{heads[kind]}{names[w[pos]]}"
                        f"{line(w, pos, end - base, info, names)}\n"
                    )
                    break
                except KeyError as missing:
                    quoted.fill(missing.args[0])
            type_id += 1
        yield "".join(out)


def dumps(btf: Btf, *, exact: bool = False) -> str:
    """Return the own types of a BTF as text; see :func:`dump`."""
    return "".join(dump(btf, exact=exact))
