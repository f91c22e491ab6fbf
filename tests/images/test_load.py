"""BTF out of files of any kind, chosen by content."""

from __future__ import annotations

import gzip
import lzma
import os
import struct
import threading
from pathlib import Path

import pytest
import zstandard

from btfdbg import images
from btfdbg.btf.text.assemble import assemble, parse
from btfdbg.errors import BtfFormatError, ImageError
from btfdbg.images.kernel import btf_of_kernel, find_btf, payloads
from btfdbg.images.modules import without_signature
from tests.btf.samples import EVERY_KIND, INT, SPLIT
from tests.images.elves import elf, kernel_btf
from tests.images.test_compressed import lz4_legacy

RAW = assemble(INT)
NOISE = bytes(range(256)) * (5 << 10)  # over 1 MiB, as a kernel is


@pytest.mark.parametrize(
    "data",
    [
        RAW,
        assemble(".header byteorder=big\n" + INT),
        elf({".text": b"x", ".BTF": RAW}),
        gzip.compress(RAW),
        lzma.compress(elf({".BTF": RAW})),
        zstandard.compress(elf({".BTF": RAW})),
    ],
    ids=["raw", "big-endian", "ELF", "raw.gz", "ELF.xz", "ELF.zst"],
)
def test_file_is_read_whatever_it_is(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "file"
    path.write_bytes(data)
    assert images.load_btf(path).name_of(1) == "int"
    assert images.load_btf(str(path)).type_cnt == 2


@pytest.mark.parametrize("order", ["little", "big"])
@pytest.mark.parametrize(
    "pack",
    [
        lambda d: d,
        gzip.compress,
        lzma.compress,
        lambda d: lzma.compress(d, lzma.FORMAT_ALONE),
        zstandard.compress,
        lz4_legacy,
    ],
    ids=["plain", "gzip", "xz", "lzma", "zstd", "lz4"],
)
def test_flat_kernel_inside_of_a_boot_image(pack: object, order: str) -> None:
    assert callable(pack)
    btf = kernel_btf(order)
    image = b"MZ boot code" + bytes(5000) + pack(NOISE + btf + NOISE) + b"after"
    assert btf_of_kernel(image) == btf
    assert images.blobs_of(image + bytes(1 << 20)) == images.BtfBlobs(btf, None)


def test_elf_kernel_inside_of_a_boot_image() -> None:
    btf = kernel_btf(types=10)  # few, but its section says what it is
    image = b"MZ boot code" + gzip.compress(elf({".text": NOISE, ".BTF": btf}))
    assert btf_of_kernel(image) == btf


def test_largest_btf_of_an_image_is_the_kernels() -> None:
    small, large = kernel_btf(types=1100), kernel_btf(types=1300)
    assert find_btf(NOISE + small + NOISE + large + NOISE) == large
    assert find_btf(NOISE + kernel_btf(types=900)) is None
    assert find_btf(b"\x9f\xeb\x01\0\x18\0\0\0\0\0\0\0" * 100) is None


def test_chance_magics_cost_little_and_find_nothing() -> None:
    data = b"".join([b"\x1f\x8b\x08", b"\x28\xb5\x2f\xfd", b"\xfd7zXZ\0", b"BZh9"]) * 500
    assert list(payloads(data)) == []
    with pytest.raises(ImageError, match="CONFIG_DEBUG_INFO_BTF"):
        btf_of_kernel(data)


def test_module_needs_its_base(tmp_path: Path) -> None:
    base = parse(EVERY_KIND)
    path = tmp_path / "mod.ko"
    path.write_bytes(elf({".BTF": assemble(SPLIT, base)}))
    assert images.load_btf(path, base).name_of(34) == "holder"
    with pytest.raises(BtfFormatError, match="base"):
        images.load_btf(path)


def test_r17_module_with_its_own_distilled_base_keeps_it(tmp_path: Path) -> None:
    distilled = parse("[1] STRUCT 'node' size=32 vlen=0\n")
    split = assemble("[2] PTR '(anon)' type_id=1\n", distilled)
    path = tmp_path / "mod.ko"
    path.write_bytes(elf({".BTF": split, ".BTF.base": bytes(distilled.raw)}))
    btf = images.load_btf(path)
    assert btf.base is not None
    assert btf.name_of(1) == "node"
    assert images.read_blobs(path) == images.BtfBlobs(split, bytes(distilled.raw))


def test_r17_module_with_its_own_distilled_base_is_relocated_onto_a_given_one(
    tmp_path: Path,
) -> None:
    distilled = parse("[1] STRUCT 'node' size=32 vlen=0\n")
    split = assemble("[2] PTR '(anon)' type_id=1\n", distilled)
    path = tmp_path / "mod.ko"
    path.write_bytes(elf({".BTF": split, ".BTF.base": bytes(distilled.raw)}))
    base = parse(EVERY_KIND)
    btf = images.load_btf(path, base)
    assert btf.base is base
    assert btf.iter_type_refs(34) == [6]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "empty"),
        (b"hello", "no BTF"),
        (elf({".text": b"x"}), "no BTF"),
        (gzip.compress(gzip.compress(RAW)), "twice"),
        (gzip.compress(b""), "empty"),
        (b"\x1f\x8b\x08garbage", "gzip"),
        (b"KDUMP   " + bytes(100), "dump"),
        (elf({}, type_=4), "dump"),
        (elf({".BTF": RAW})[:-30], "ELF"),
    ],
    ids=[str(i) for i in range(9)],
)
def test_what_holds_no_btf_is_refused_in_one_line(
    tmp_path: Path, data: bytes, message: str
) -> None:
    path = tmp_path / "some file"
    path.write_bytes(data)
    with pytest.raises(ImageError, match=message) as e:
        images.load_btf(path)
    assert str(e.value).startswith(str(path))
    assert "\n" not in str(e.value)


def test_missing_file_and_directory_are_refused(tmp_path: Path) -> None:
    for path in (tmp_path / "missing", tmp_path):
        with pytest.raises(ImageError):
            images.load_btf(path)
        with pytest.raises(ImageError):
            images.read_head(path)


def test_pipe_is_read(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    writer = threading.Thread(target=lambda: path.write_bytes(elf({".BTF": RAW})))
    writer.start()
    assert images.load_btf(path).name_of(1) == "int"
    writer.join()


@pytest.mark.parametrize(
    ("head", "dump"),
    [
        (b"KDUMP   ", True),
        (b"DISKDUMP", True),
        (b"makedumpfile\0", True),
        (elf({}, type_=4), True),
        (elf({}), False),
        (RAW, False),
        (b"", False),
    ],
)
def test_dumps_are_told_from_images(head: bytes, dump: bool) -> None:
    assert images.is_dump(head[:64]) == dump


def test_signature_is_taken_off_a_module() -> None:
    module = elf({".BTF": RAW})
    signature = b"s" * 50
    tail = struct.pack(">8xI", len(signature)) + b"~Module signature appended~\n"
    assert without_signature(module + signature + tail) == module
    assert without_signature(module) == module
    lie = struct.pack(">8xI", 1 << 30) + b"~Module signature appended~\n"
    assert without_signature(module + lie) == module + lie
    assert without_signature(b"") == b""
