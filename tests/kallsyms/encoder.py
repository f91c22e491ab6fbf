"""Writes kallsyms tables in every layout that kernels have had, from a list of symbols.

The opposite of ``btfdbg.kallsyms``: same facts (scripts/kallsyms.c,
``write_src()``), no shared code.
"""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Literal

from btfdbg.kallsyms.addresses import Encoding
from btfdbg.kallsyms.model import ByteOrder

BASE = 0xFFFFFFFF81000000
ALPHABET = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.$"

Symbol = tuple[int, str, str]  # address, letter, name


@dataclass(frozen=True)
class Style:
    """How a kernel writes its tables. The default is 6.12 on x86."""

    encoding: Encoding = Encoding.PERCPU
    addresses_last: bool = True  # since 6.4
    seqs: Literal["none", "front", "back"] = "back"
    unit: int = 8  # alignment; 4 since 7.0
    byteorder: ByteOrder = "little"
    wide: bool = True  # lengths of two bytes, since 6.1
    compress: bool = True
    to_dot: bool = False  # the name index of clang's LTO
    long_words: bool = False  # count and markers are unsigned long, before 4.20


STYLES = {
    "4.18 x86": Style(Encoding.PERCPU, False, "none", wide=False, long_words=True),
    "4.18 s390x": Style(
        Encoding.RELATIVE, False, "none", wide=False, long_words=True, byteorder="big"
    ),
    "4.18 absolute": Style(Encoding.ABSOLUTE, False, "none", wide=False, long_words=True),
    "5.4 absolute": Style(Encoding.ABSOLUTE, False, "none", wide=False),
    "5.10 x86": Style(Encoding.PERCPU, False, "none", wide=False),
    "5.10 arm64": Style(Encoding.RELATIVE, False, "none", wide=False),
    "6.1": Style(Encoding.PERCPU, False, "none"),
    "6.1 s390x": Style(Encoding.RELATIVE, False, "none", byteorder="big"),
    "6.2": Style(Encoding.PERCPU, False, "front"),
    "6.3 absolute": Style(Encoding.ABSOLUTE, False, "front"),
    "6.4 absolute, big-endian": Style(Encoding.ABSOLUTE, byteorder="big"),
    "6.6 LTO": Style(Encoding.PERCPU, to_dot=True),
    "6.12 x86": Style(),
    "6.12 arm64": Style(Encoding.RELATIVE),
    "6.12 s390x": Style(Encoding.RELATIVE, byteorder="big"),
    "7.0": Style(Encoding.PLACE, unit=4),
    "7.0 s390x": Style(Encoding.PLACE, unit=4, byteorder="big"),
    "long names": Style(compress=False),
    "long names, 7.0": Style(Encoding.PLACE, unit=4, compress=False),
    "names of 128 to 255 tokens before 6.1": Style(
        Encoding.PERCPU, False, "none", wide=False, compress=False
    ),
}


@dataclass
class Image:
    """
    A kernel image in memory.

    :ivar where: Addresses of the tables by the kernel's names for them.
    :ivar lost: Pages that cannot be read.
    """

    base: int
    data: bytearray
    style: Style
    symbols: list[Symbol]
    where: dict[str, int]
    lost: set[int] = field(default_factory=set)
    bytes_read: int = 0

    @property
    def end(self) -> int:
        return self.base + len(self.data)

    def read(self, address: int, size: int) -> bytes:
        if address < self.base or address + size > self.end:
            raise ValueError(f"no memory at 0x{address:x}")
        if self.lost and any(
            page in self.lost for page in range(address >> 12, (address + size - 1 >> 12) + 1)
        ):
            raise ValueError(f"page of 0x{address:x} is lost")
        self.bytes_read += size
        return bytes(self.data[address - self.base : address - self.base + size])

    def poke(self, address: int, data: bytes) -> None:
        self.data[address - self.base : address - self.base + len(data)] = data

    def vmcoreinfo(self, *, pointers: bool = True, more: str = "") -> bytes:
        names = {
            name: address for address, _, name in self.symbols if name in ("_stext", "init_uts_ns")
        }
        if pointers:
            names |= {
                k: v
                for k, v in self.where.items()
                if k not in ("kallsyms_markers", "kallsyms_seqs_of_names")
            }
        text = "OSRELEASE=6.12.0-test\nPAGESIZE=4096\n"
        text += "".join(f"SYMBOL({name})={address:x}\n" for name, address in names.items())
        return (text + more).encode()


def some_symbols(random: Random, count: int, style: Style, base: int = BASE) -> list[Symbol]:
    """Symbols of a made-up kernel, by address; with aliases and namesakes."""
    fixed = [("T", "_stext"), ("D", "init_uts_ns"), ("B", "_end")]
    fixed = fixed[:count]
    percpu: list[Symbol] = []
    if style.encoding in (Encoding.PERCPU, Encoding.ABSOLUTE) and count > 20:
        percpu = [(0, "A", "__per_cpu_start"), (0, "A", "fixed_percpu_data")]
        percpu += [(4096 + 64 * i, "d", f"percpu_{i}") for i in range(5)]
        percpu.append((8192, "A", "__per_cpu_end"))
    names: list[tuple[str, str]] = []
    stems = ["".join(random.choices(ALPHABET[:26], k=random.randint(2, 7))) for _ in range(30)]
    while len(names) < count - len(percpu) - len(fixed):
        if names and random.random() < 0.03:
            names.append(random.choice(names))  # a namesake: two static functions
            continue
        name = "_".join(random.choices(stems, k=random.randint(1, 4)))
        if random.random() < 0.1:
            name += random.choice([".cold", ".isra.0", ".constprop.3", ".llvm.1234"])
        if not style.compress and random.random() < 0.05:
            top = 400 if style.wide else 240
            name = (name + "_") * 99
            name = name[: random.randint(126, top)]
        names.append((random.choice("tTtTdDbBrRVW"), name))
    random.shuffle(names)
    address = base
    symbols: list[Symbol] = []
    for letter, name in [*fixed[:1], *names, *fixed[1:]]:
        if symbols and random.random() < 0.9:
            address += random.choice([1, 4, 16, 64, 100])
        symbols.append((address, letter, name))
    if symbols and fixed and fixed[-1][1] == "_end":
        # Behind everything, the tables included.
        symbols[-1] = (base + (1 << 20), "B", "_end")
    return percpu + symbols


def make_image(
    symbols: Sequence[Symbol], style: Style, base: int = BASE, at: int = 0x3000
) -> Image:
    """Write an image of 1 MiB with the tables somewhere inside."""
    order = "<" if style.byteorder == "little" else ">"
    count = len(symbols)
    tokens = _tokens(symbols, style.compress)
    encoder = _Encoder(tokens)
    stream = bytearray()
    markers = []
    for number, (_, letter, name) in enumerate(symbols):
        if number % 256 == 0:
            markers.append(len(stream))
        code = encoder.encode(letter + name)
        if len(code) >= 0x80 and style.wide:
            stream += bytes([len(code) & 0x7F | 0x80, len(code) >> 7])
        else:
            assert len(code) < 256
            stream.append(len(code))
        stream += code
    names_only = [name for _, _, name in symbols]
    keys = [name.partition(".")[0] if style.to_dot else name for name in names_only]
    by_name = sorted(range(count), key=lambda i: (keys[i].encode(), symbols[i][0]))
    table = b"".join(token.encode() + b"\0" for token in tokens)
    index = []
    place = 0
    for token in tokens:
        index.append(place)
        place += len(token) + 1
    word = "Q" if style.long_words else "I"
    parts: dict[str, bytes] = {
        "kallsyms_num_syms": struct.pack(f"{order}{word}", count),
        "kallsyms_names": bytes(stream),
        "kallsyms_markers": struct.pack(f"{order}{len(markers)}{word}", *markers),
        "kallsyms_seqs_of_names": b"".join(i.to_bytes(3, "big") for i in by_name),
        "kallsyms_token_table": table,
        "kallsyms_token_index": struct.pack(f"{order}256H", *index),
    }
    names = ["kallsyms_num_syms", "kallsyms_names", "kallsyms_markers"]
    if style.seqs == "front":
        names.append("kallsyms_seqs_of_names")
    names += ["kallsyms_token_table", "kallsyms_token_index"]
    addresses = ["kallsyms_addresses"]
    if style.encoding is Encoding.PLACE:
        addresses = ["kallsyms_offsets"]
    elif style.encoding is not Encoding.ABSOLUTE:
        addresses = ["kallsyms_offsets", "kallsyms_relative_base"]
    names = [*names, *addresses] if style.addresses_last else [*addresses, *names]
    if style.seqs == "back":
        names.append("kallsyms_seqs_of_names")
    sizes = {name: len(part) for name, part in parts.items()}
    width = 8 if style.encoding is Encoding.ABSOLUTE else 4
    sizes |= {"kallsyms_addresses": width * count, "kallsyms_offsets": width * count}
    sizes["kallsyms_relative_base"] = 8
    where: dict[str, int] = {}
    place = base + at
    for name in names:
        place = -(-place // style.unit) * style.unit
        where[name] = place
        place += sizes[name]
    raw = [address for address, _, _ in symbols]
    if style.encoding is Encoding.ABSOLUTE:
        parts["kallsyms_addresses"] = struct.pack(f"{order}{count}Q", *raw)
    elif style.encoding is Encoding.RELATIVE:
        parts["kallsyms_offsets"] = struct.pack(f"{order}{count}I", *(a - base for a in raw))
    elif style.encoding is Encoding.PERCPU:
        parts["kallsyms_offsets"] = struct.pack(
            f"{order}{count}i", *(a if a < 1 << 31 else base - 1 - a for a in raw)
        )
    else:
        start = where["kallsyms_offsets"]
        parts["kallsyms_offsets"] = struct.pack(
            f"{order}{count}i", *(a - start - 4 * i for i, a in enumerate(raw))
        )
    parts["kallsyms_relative_base"] = struct.pack(f"{order}Q", base)
    data = bytearray(Random(count).randbytes(1 << 20))
    image = Image(base, data, style, list(symbols), where)
    # Zeros between the tables, as an assembler pads.
    image.poke(base + at, bytes(place - base - at))
    for name, start in where.items():
        image.poke(start, parts[name])
    return image


def _tokens(symbols: Sequence[Symbol], compress: bool) -> list[str]:
    """256 strings: characters stand for themselves, the other codes for what is frequent."""
    used = {c for _, letter, name in symbols for c in letter + name} | set(ALPHABET)
    pieces: Counter[str] = Counter()
    for _, letter, name in symbols[:2000:3] if compress else ():
        text = letter + name
        for size in (2, 3, 4, 6):
            pieces.update(text[i : i + size] for i in range(len(text) - size + 1))
    frequent = [piece for piece, _ in pieces.most_common(300)]
    tokens = []
    for code in range(256):
        if chr(code) in used:
            tokens.append(chr(code))
        else:
            tokens.append(frequent.pop() if frequent else "")
    return tokens


class _Encoder:
    def __init__(self, tokens: Sequence[str]) -> None:
        self._codes = {token: code for code, token in enumerate(tokens) if token}
        self._longest = max(map(len, tokens))

    def encode(self, text: str) -> bytes:
        out = bytearray()
        while text:
            for size in range(min(self._longest, len(text)), 0, -1):
                code = self._codes.get(text[:size])
                if code is not None:
                    out.append(code)
                    text = text[size:]
                    break
            else:
                raise AssertionError(f"no token for {text[0]!r}")
        return bytes(out)
