"""Flattened dumps, LiME files, BTF inside kernel images, manifests."""

from __future__ import annotations

import gzip
import lzma
import struct
import zlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corefiles import manifest
from corefiles.flattened import rearrange
from corefiles.rawimage import system_ram, write_lime
from corefiles.recompress import snappy, to_snappy
from corefiles.run import BuildError
from corefiles.vmlinux import find_btf, with_btf

END = struct.pack(">qq", -1, -1)


def flat(*records: tuple[int, bytes], end: bytes = END) -> bytes:
    header = (b"makedumpfile\0\0\0\0" + struct.pack(">qq", 1, 1)).ljust(4096, b"\0")
    return header + b"".join(struct.pack(">qq", at, len(d)) + d for at, d in records) + end


def test_records_land_at_their_offsets_and_what_follows_the_end_is_ignored(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    data = flat((4, b"cd"), (0, b"ab"), (4, b"CD"))
    # Bullseye's makedumpfile leaves rubbish behind the name.
    data = data[:13] + b"\x8d\xff\xff" + data[16:]
    disk.write_bytes(data + bytes(999))
    length = rearrange(disk, tmp_path / "plain", tmp_path / "flat")
    assert length == len(data)
    assert (tmp_path / "plain").read_bytes() == b"ab\0\0CD"
    assert (tmp_path / "flat").read_bytes() == data


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "no flattened dump"),
        (b"KDUMP   " + bytes(5000), "no flattened dump"),
        (flat((0, b"ab"), end=b""), "no end"),
        (flat((0, b"abcdef"), end=b"")[:-3], "inside a record"),
        (flat((-8, b"ab")), "at -8"),
        (flat(end=struct.pack(">qq", 0, 1 << 40)), "record of"),
    ],
)
def test_a_damaged_flattened_dump_is_an_error(tmp_path: Path, data: bytes, reason: str) -> None:
    (tmp_path / "disk").write_bytes(data)
    with pytest.raises(BuildError, match=reason):
        rearrange(tmp_path / "disk", tmp_path / "plain")


def test_system_ram_is_taken_from_iomem_without_what_lies_inside() -> None:
    lines = [
        "00000000-00000fff : Reserved",
        "00100000-17fdffff : System RAM",
        "  0ea00000-0f9fffff : Kernel code",
        "00001000-0009fbff : System RAM",
    ]
    assert system_ram(lines) == [(0x1000, 0x9FC00), (0x100000, 0x17FE0000)]


def test_a_lime_file_has_each_range_behind_its_header(tmp_path: Path) -> None:
    (tmp_path / "raw").write_bytes(bytes(range(16)))
    write_lime(tmp_path / "raw", 0x100, [(0x102, 0x104), (0x10E, 0x112)], tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == (
        b"EMiL\1\0\0\0" + struct.pack("<QQQ", 0x102, 0x103, 0) + b"\2\3"
        b"EMiL\1\0\0\0" + struct.pack("<QQQ", 0x10E, 0x111, 0) + b"\x0e\x0f\0\0"
    )


def btf(order: str, types: bytes, strings: bytes) -> bytes:
    magic = b"\x9f\xeb" if order == "<" else b"\xeb\x9f"
    lengths = struct.pack(f"{order}5I", 24, 0, len(types), len(types), len(strings))
    return magic + b"\1\0" + lengths + types + strings


@pytest.mark.parametrize("order", ["<", ">"])
def test_the_largest_btf_is_found_among_decoys(order: str) -> None:
    right = btf(order, bytes(120), b"\0int\0")
    decoys = [btf(order, bytes(12), b"\0a\0"), right[:30], b"\x9f\xeb\1\0" + b"\xff" * 20]
    assert find_btf(b"x" * 7 + decoys[0] + decoys[2] + right + decoys[1]) == right
    assert find_btf(decoys[2]) == b""


@pytest.mark.parametrize("pack", [gzip.compress, lzma.compress])
def test_btf_is_taken_out_of_a_compressed_image(tmp_path: Path, pack: object) -> None:
    assert callable(pack)
    inside = btf("<", bytes(2 << 20), b"\0int\0")
    image = tmp_path / "vmlinuz"
    image.write_bytes(b"stub\x1f\x8b\x08 no gzip" + pack(b"kernel" + inside) + b"tail")
    out = with_btf(image, tmp_path / "vmlinux")
    assert out is not None
    assert out.read_bytes() == inside


def test_a_kernel_without_btf_gives_none(tmp_path: Path) -> None:
    (tmp_path / "vmlinuz").write_bytes(gzip.compress(bytes(5 << 20)))
    assert with_btf(tmp_path / "vmlinuz", tmp_path / "vmlinux") is None


ENTRY = {
    "arch": "amd64",
    "release": "6.1",
    "build_id": "ab",
    "scenario": "oom",
    "how": "raw",
    "facts": {},
}


def test_an_entry_lies_beside_its_dump_and_knows_its_digest(tmp_path: Path) -> None:
    dump = tmp_path / "a.vmcore"
    dump.write_bytes(b"abc")
    manifest.write_entry(dump, ENTRY)
    entry = manifest.read_entry(dump)
    assert entry["file"] == "a.vmcore"
    assert entry["size"] == 3
    assert entry["sha256"].startswith("ba7816bf8f01cfea")


@pytest.mark.parametrize("text", [None, "{", '{"file": "x"}'])
def test_a_missing_or_damaged_entry_is_one_error(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        (tmp_path / "a.json").write_text(text)
    with pytest.raises(BuildError, match=r"a\.json"):
        manifest.read_entry(tmp_path / "a")


def test_bundling_replaces_the_entry_of_the_same_file(tmp_path: Path) -> None:
    listing = tmp_path / "manifest.json"
    for content in (b"one", b"other"):
        (tmp_path / "b.vmcore").write_bytes(content)
        manifest.bundle(tmp_path / "b.vmcore", {**ENTRY, "file": "big"}, listing)
    (entry,) = manifest.bundled(listing)
    assert (entry["file"], entry["size"], entry["release"]) == ("b.vmcore", 5, "6.1")


def test_a_dump_from_elsewhere_is_not_bundled(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match="bundled dumps lie in"):
        manifest.bundle(tmp_path / "x", ENTRY)


@given(st.lists(st.tuples(st.integers(0, 200), st.binary(min_size=1, max_size=20)), max_size=8))
def test_rearranging_is_writing_in_order(
    tmp_path_factory: pytest.TempPathFactory, records: list[tuple[int, bytes]]
) -> None:
    folder = tmp_path_factory.mktemp("flat")
    (folder / "disk").write_bytes(flat(*records))
    rearrange(folder / "disk", folder / "plain")
    expected = bytearray()
    for at, data in records:
        expected += bytes(max(0, at + len(data) - len(expected)))
        expected[at : at + len(data)] = data
    assert (folder / "plain").read_bytes() == expected


def unsnappy(data: bytes) -> bytes:
    """Decode snappy, written from its format description."""
    at = shift = length = 0
    while True:
        byte = data[at]
        length |= (byte & 0x7F) << shift
        at += 1
        shift += 7
        if byte < 0x80:
            break
    out = bytearray()
    while at < len(data):
        tag, at = data[at], at + 1
        if tag & 3 == 0:
            size = tag >> 2
            if size >= 60:
                extra = size - 59
                size = int.from_bytes(data[at : at + extra], "little")
                at += extra
            out += data[at : at + size + 1]
            at += size + 1
        else:
            assert tag & 3 == 2
            back = int.from_bytes(data[at : at + 2], "little")
            at += 2
            for _ in range((tag >> 2) + 1):
                out.append(out[-back])
    assert len(out) == length
    return bytes(out)


@given(st.lists(st.sampled_from([b"abcd", b"\0" * 70, b"xyz", b"\1\2"]), max_size=50))
def test_what_snappy_packs_comes_back(parts: list[bytes]) -> None:
    data = b"".join(parts)
    assert unsnappy(snappy(data)) == data


def test_snappy_makes_a_zero_page_small() -> None:
    assert len(snappy(bytes(4096))) < 256


def test_a_dump_is_recompressed_page_by_page(tmp_path: Path) -> None:
    pages = [bytes(4096), b"text" * 1024, bytes(range(256)) * 16]
    head = bytearray(4096 * 4)
    head[:8] = b"KDUMP   "
    struct.pack_into("<IiiI", head, 424, 1, 4096, 1, 2)
    head[4096 * 2] = 0b1111
    head[4096 * 3] = 0b1101
    bodies = [zlib.compress(pages[0]), pages[1], zlib.compress(pages[2])]
    descs = b""
    at = len(head) + 3 * 24
    for body, kind in zip(bodies, (1, 0, 1), strict=True):
        descs += struct.pack("<QIIQ", at, len(body), kind, 5)
        at += len(body)
    (tmp_path / "in").write_bytes(bytes(head) + descs + b"".join(bodies))
    assert to_snappy(tmp_path / "in", tmp_path / "out") == 3
    data = (tmp_path / "out").read_bytes()
    assert struct.unpack_from("<I", data, 424) == (4,)
    for index, page in enumerate(pages):
        offset, size, kind, flags = struct.unpack_from("<QIIQ", data, len(head) + 24 * index)
        assert (kind, flags) == (4, 5)
        assert unsnappy(data[offset : offset + size]) == page


@pytest.mark.parametrize("data", [b"", b"\x7fELF" + bytes(9999), b"KDUMP   " + b"\xff" * 9999])
def test_only_kdump_files_are_recompressed(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "in").write_bytes(data)
    with pytest.raises(BuildError):
        to_snappy(tmp_path / "in", tmp_path / "out")
