"""Targets for what comes in files of a few KB: texts, databases, ELF files, compressed pages.

Owns one target per parser, each with its documented errors written out.
"""

from __future__ import annotations

import lzma
import os
import struct
import tempfile
import zlib
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

import zstandard

from btfdbg import cache as cachefile
from btfdbg import cdecl
from btfdbg.btf import Btf
from btfdbg.btf.text.assemble import assemble
from btfdbg.errors import BtfError, DebugInfoError, ImageError
from btfdbg.images import blobs_of, parse_blobs
from btfdbg.images.blocks import CorruptError, lzo1x, snappy
from btfdbg.images.compressed import decompress
from btfdbg.images.elf import replace_sections
from btfdbg.images.modules import without_signature
from btfdbg.kallsyms.find_kallsyms import image_ranges
from btfdbg.kallsyms.sources import from_vmcoreinfo, parse_map
from btfdbg.repl import config, history
from btfdbg.vardb import database
from btfdbg.vardb.database import Database
from btfdbg.vardb.textdb import TextDatabase
from btfdbg.variables.extra import ExtraBtf, base_tag
from btfdbg.vmcore.paging import ways_to_translate
from btfdbg.vmcore.recover import architectures_of
from btfdbg.vmcore.vmcoreinfo import VmcoreInfo
from tests.btf.samples import EVERY_KIND
from tests.images.elves import elf, kernel_btf

from .target import Target, join, split

CORPUS = Path(__file__).parent / "corpus"
_FEW = 200


def corpus(name: str) -> list[bytes]:
    """Inputs cut out of real dumps."""
    return [path.read_bytes() for path in sorted((CORPUS / name).iterdir())]


@cache
def scratch() -> Path:
    """A folder for parsers that take paths; in memory where there is one."""
    place = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    folder = tempfile.TemporaryDirectory(prefix="btfdbg-hostile-", dir=place)
    _kept.append(folder)
    return Path(folder.name)


_kept: list[tempfile.TemporaryDirectory[str]] = []


def written(name: str, data: bytes) -> Path:
    """A file with these contents; a new one, for libkdumpfile may still map the last."""
    path = scratch() / name
    path.unlink(missing_ok=True)
    path.write_bytes(data)
    return path


def vmcoreinfo(data: bytes) -> bool:
    """The text, and what is concluded from it."""
    info = VmcoreInfo.parse(data)
    assert len(info.build_id) <= 128
    assert info.page_size in (0, *(1 << n for n in range(12, 19)))
    assert info.kernel_offset is None or 0 <= info.kernel_offset < 1 << 64
    for start, end in image_ranges(info):
        assert 0 <= start <= end <= 1 << 64
    for architecture in architectures_of(info):
        assert len(list(ways_to_translate(architecture, info))) < 100
    from_vmcoreinfo(info)
    return bool(info.release)


def symbol_file(data: bytes) -> bool:
    """System.map, with a VMCOREINFO text to hold it against."""
    text, symbols = split(data, 2)
    try:
        table = parse_map(symbols, "map", VmcoreInfo.parse(text) if text else None)
    except DebugInfoError:
        return False
    for sym in list(table)[:_FEW]:
        assert table.by_name(sym.name)
        table.by_address(sym.address)
    return True


def _symbol_file_seeds() -> list[bytes]:
    lines = "".join(f"{0xFFFFFFFF81000000 + 16 * i:016x} t f{i}\n" for i in range(1100))
    lines = "ffffffff81000000 T _stext\n" + lines + "ffffffff82000000 D init_uts_ns\n"
    listed = lines + "ffffffffc0000000 t cf\t[cf_fault]\n"
    note = b"SYMBOL(_stext)=ffffffff91000000\nKERNELOFFSET=10000000\n"
    percpu = "0000000000000000 A __per_cpu_start\n0000000000020000 A __per_cpu_end\n"
    return [join(b"", lines.encode()), join(note, (percpu + listed).encode())]


def _packed(content: bytes) -> bytes:
    """The compiled database behind a right header, so that the checksum stops nothing."""
    packed = zstandard.ZstdCompressor(level=1).compress(content)
    numbers = (database._VERSION, len(content), len(packed), zlib.crc32(content))
    return database._HEADER.pack(database._MAGIC, *numbers) + packed


def variable_database(data: bytes) -> bool:
    """The content of the compiled database."""
    return _query(_packed(data))


def packed_database(data: bytes) -> bool:
    """The compiled database as a file."""
    return _query(data)


def _query(data: bytes) -> bool:
    try:
        known = Database.unpack(data, "file")
        for name in ("init_task", "jiffies", "block_class", "ext4_fs_type"):
            known.candidates(name)
        for pattern in list(known.families)[:_FEW]:
            known.families.get(pattern)
        str(list(known.kernels))
    except DebugInfoError:
        return False
    return True


@cache
def _database_content() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "v.txt")
        path.write_bytes(_TEXT)
        raw = Database.from_text(TextDatabase.read(path)).pack()
    return zstandard.ZstdDecompressor().decompress(raw[database._HEADER.size :])


def _database_seeds() -> list[bytes]:
    return [_database_content()]


def _packed_seeds() -> list[bytes]:
    return [_packed(_database_content())]


_TEXT = b"""\
kernel amd64-cloud 6.1 6.1.0-56-cloud-amd64 x86_64
kernel amd64-cloud 6.12 6.12.117+deb13-cloud-amd64 x86_64
kernel amd64-full 5.10 5.10.0-32-amd64 x86_64
tail 1 411/414 struct attribute *
block_class: struct class  # any 5.10-6.1
block_class: const struct class  # any 6.12+
hpet_msi_domain_info: struct msi_domain_info  # amd64-cloud 6.1; amd64-full 5.10
ext4_fs_type@ext4: struct file_system_type  # *
contig_page_data: struct pglist_data  # curated
names_of: ro const char * const [9]  # *
attrs: tail2 struct attribute *[4]  # amd64-cloud 6.1+
"""


def variable_text(data: bytes) -> bool:
    """The database's source."""
    try:
        text = TextDatabase.read(written("variables.txt", data))
    except DebugInfoError:
        return False
    try:
        Database.from_text(text)
    except DebugInfoError:
        return False
    return True


def c_type(data: bytes) -> bool:
    """A type as the database writes it."""
    try:
        parsed = cdecl.parse_type(data.decode("utf-8", "replace"))
    except cdecl.CDeclError:
        return False
    text = cdecl.format_type(parsed)
    assert cdecl.format_type(cdecl.parse_type(text)) == text
    return True


_TYPES = (
    "int", "const char * const [9]", "int (*[3])(struct foo *, ...)", "struct list_head",
    "struct [64] { int a; struct { long b : 3; union { char c[4]; int d; }; } e @ 24; }",
    "enum { A = 0, B = 5 }", "void (*(*)(int, const volatile unsigned long long *))[2][3]",
)  # fmt: skip


@cache
def _base() -> Btf:
    return Btf.parse(assemble(EVERY_KIND))


def extra_btf(data: bytes) -> bool:
    """BTF of variables for a base."""
    try:
        extra = ExtraBtf.parse(data, _base(), "file")
    except DebugInfoError:
        return False
    try:
        for name in ("counter", "twice", "none"):
            extra.type_of(name, 0x1000, lambda _: [0x1000])
    except BtfError:
        pass
    return True


def _extra_seeds() -> list[bytes]:
    base = _base()
    first = base.type_cnt
    text = (
        f"[{first}] VAR 'counter' type_id=1, linkage=global\n"
        f"[{first + 1}] VAR 'twice' type_id=1, linkage=static\n"
        f"[{first + 2}] VAR 'twice' type_id=2, linkage=static\n"
        f"[{first + 3}] DATASEC '.data' size=16 vlen=3\n"
        f"\ttype_id={first} offset=0 size=4\n"
        f"\ttype_id={first + 1} offset=4 size=4\n"
        f"\ttype_id={first + 2} offset=8 size=8\n"
        f"[{first + 4}] DECL_TAG '{base_tag(base, 'abcdef0123')}' type_id={first}"
        " component_idx=-1\n"
    )
    return [assemble(text, base)]


def elf_image(data: bytes) -> bool:
    """A module or vmlinux: sections out and in."""
    data = without_signature(data)
    good = True
    try:
        parse_blobs(blobs_of(data), _base())
    except (ImageError, BtfError):
        good = False
    try:
        replace_sections(data, {".BTF": b"1234", ".new": b"5", ".text": None})
    except ImageError:
        return False
    return good


def _elf_seeds() -> list[bytes]:
    blob = kernel_btf(types=20)
    split_blob = assemble(f"[{_base().type_cnt}] TYPEDEF 'mine' type_id=1\n", _base())
    return [
        elf({".text": b"code", ".BTF": blob}),
        elf({".BTF": blob, ".bss": b""}, bits=32),
        elf({".BTF": kernel_btf("big", 20), ".BTF.ext": b"x" * 32}, order=">"),
        elf({".BTF": split_blob}) + b"",
        elf({".BTF": split_blob}) + bytes(20) + b"\0" * 8 + struct.pack(">I", 20)
        + b"~Module signature appended~\n",
    ]  # fmt: skip


def compressed(data: bytes) -> bool:
    """A compressed image."""
    limit = 1 << 20
    try:
        out = decompress(data, limit)
    except ImageError:
        return False
    assert len(out) <= limit + (8 << 20)
    return True


def _compressed_seeds() -> list[bytes]:
    import bz2
    import gzip

    import lz4.block
    import lz4.frame

    text = b"some text of a kernel, some text of a module; " * 40
    block = lz4.block.compress(text, store_size=False)
    return [
        gzip.compress(text, mtime=0), bz2.compress(text), lzma.compress(text),
        lzma.compress(text, lzma.FORMAT_ALONE), zstandard.ZstdCompressor().compress(text),
        lz4.frame.compress(text), struct.pack("<II", 0x184C2102, len(block)) + block,
    ]  # fmt: skip


def _lzop_seeds() -> list[bytes]:
    """A kernel's image as lzop packs it, with a header of today's and one of a former version."""
    magic = b"\x89LZO\0\r\n\x1a\n"
    pages = [(4096, page) for page in corpus("lzo")]
    blocks = b"".join(
        struct.pack(">III", size, len(packed), 0) + packed
        for size, packed in (*pages, (16, b"one of 16 bytes."))
    ) + bytes(4)  # fmt: skip
    today = struct.pack(">HHHBBIIIIB4sI", 0x1030, 0x20A0, 0x0940, 1, 5, 1, 0, 0, 0, 4, b"name", 0)
    former = struct.pack(">HHHBIIIIBI", 0x0900, 0x1000, 0x0900, 1, 0x800, 0, 0, 0, 0, 0)
    return [magic + today + blocks, magic + former + blocks]


def lzo_page(data: bytes) -> bool:
    """An LZO page."""
    return _page(lzo1x, data)


def snappy_page(data: bytes) -> bool:
    """A Snappy page."""
    return _page(snappy, data)


def _page(unpack: Callable[[bytes, int], bytes], data: bytes) -> bool:
    try:
        page = unpack(data, 4096)
    except CorruptError:
        return False
    assert len(page) <= 4096
    return True


def history_file(data: bytes) -> bool:
    """The history of the prompt."""
    entries = list(history.SharedHistory(written("history", data)).load_history_strings())
    assert all(entry.strip() for entry in entries)
    return bool(entries)


def config_file(data: bytes) -> bool:
    """The configuration, by Python's reader and by ours for 3.10."""
    found = config.load(written("config.toml", data))
    try:
        config.check(config.parse_simple(data.decode("utf-8", "replace")), "file")
    except ValueError:
        pass
    return not found.problems


def cache_file(data: bytes) -> bool:
    """An entry of the cache, as a file that somebody wrote over."""
    folder = scratch() / "cache"
    folder.mkdir(mode=0o700, exist_ok=True)
    cache_ = cachefile.Cache(str(folder))
    key = cachefile.CacheKey.of("0123", sizes=(1, 2))
    (folder / cachefile._name(key, "fuzz-1")).write_bytes(data)
    return cache_.load(key, "fuzz-1") is not None


def _cache_seeds() -> list[bytes]:
    folder = scratch() / "stored"
    key = cachefile.CacheKey.of("0123", sizes=(1, 2))
    assert cachefile.Cache(str(folder)).store(key, "fuzz-1", b"positions" * 9)
    return [path.read_bytes() for path in folder.iterdir()]


def _seeds(*data: bytes) -> Callable[[], Sequence[bytes]]:
    return lambda: data


TARGETS = (
    Target("vmcoreinfo", vmcoreinfo, lambda: corpus("vmcoreinfo")),
    Target("symbol-file", symbol_file, _symbol_file_seeds),
    Target("variables-db", variable_database, _database_seeds),
    Target("variables-db-file", packed_database, _packed_seeds),
    Target("variables-text", variable_text, _seeds(_TEXT)),
    Target("c-type", c_type, _seeds(*(text.encode() for text in _TYPES))),
    Target("btf-extra", extra_btf, _extra_seeds),
    Target("elf", elf_image, _elf_seeds),
    Target("compressed", compressed, _compressed_seeds),
    Target("lzop", compressed, _lzop_seeds),
    Target("lzo", lzo_page, lambda: corpus("lzo")),
    Target("snappy", snappy_page, lambda: corpus("snappy")),
    Target(
        "history", history_file,
        _seeds(b'"ps"\n"bt 1"\n"prog[\\"init_task\\"].comm"\n', b'"x\\ny"\n{}\n[[]]\n1\n"z"\n'),
    ),
    Target(
        "config", config_file,
        _seeds(b'editing_mode = "vi"\npager = false\n# no\n', b"theme = 'none'\nprompt = \"> \"\n"),
    ),
    Target("cache", cache_file, _cache_seeds),
)  # fmt: skip
