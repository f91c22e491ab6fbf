"""Real kernels' and modules' BTF, against bpftool and against itself.

Data: a folder named by BTFDBG_BTF_DIR that holds ``vmlinux-NAME.btf`` and, for modules,
``mod-NAME/*.btf``; without one, this machine's /sys/kernel/btf if it is there. bpftool:
BTFDBG_BPFTOOL, or the one on PATH.
"""

from __future__ import annotations

import os
import random
import re
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Literal

import pytest

from btfdbg.btf import Btf, Builder
from btfdbg.btf.distill import distill_base
from btfdbg.btf.pack import with_byteorder
from btfdbg.btf.text.assemble import assemble
from btfdbg.btf.text.jsondump import dump_json, load_json
from btfdbg.btf.text.rawtext import dump, dumps
from btfdbg.btf.validate.problem import Level
from btfdbg.btf.validate.validate import check
from btfdbg.errors import BtfError, BtfRelocateError
from btfdbg.images import load_btf
from btfdbg.images.elf import replace_sections
from tests.btf.exercise import exercise
from tests.images.elves import elf

pytestmark = pytest.mark.oracle

#: Modules looked at per kernel; all of them with BTFDBG_ALL_MODULES=1.
_MODULES = 10**6 if os.environ.get("BTFDBG_ALL_MODULES") else 40


def _kernels() -> list[Path]:
    folder = os.environ.get("BTFDBG_BTF_DIR")
    if folder:
        return sorted(Path(folder).glob("vmlinux-*.btf"))
    own = Path("/sys/kernel/btf/vmlinux")
    return [own] if own.exists() else []


def _modules(kernel: Path) -> list[Path]:
    if kernel.name == "vmlinux":
        paths = sorted(p for p in kernel.parent.iterdir() if p != kernel)
    else:
        name = kernel.stem.removeprefix("vmlinux-")
        paths = sorted((kernel.parent / f"mod-{name}").glob("*.btf"))
    return random.Random(1).sample(paths, min(len(paths), _MODULES))


KERNELS = _kernels()
if not KERNELS:
    pytest.skip("no BTF of a kernel: set BTFDBG_BTF_DIR", allow_module_level=True)
on_each_kernel = pytest.mark.parametrize("kernel", KERNELS, ids=lambda p: p.stem)


@cache
def load(kernel: Path) -> Btf:
    return Btf.parse(kernel.read_bytes())


def bpftool() -> str:
    path = os.environ.get("BTFDBG_BPFTOOL") or shutil.which("bpftool")
    if path is None:
        pytest.skip("bpftool is not installed")
    return path


def _same_as_bpftool(path: Path, btf: Btf, *base: str) -> None:
    """Compare our text with bpftool's, the documented suffixes taken off."""
    wanted = subprocess.run(
        [bpftool(), *base, "btf", "dump", "file", str(path), "format", "raw"],
        check=True,
        capture_output=True,
    ).stdout
    if re.search(rb"^\[\d+\] ENUM '.*' size=", wanted, re.M):
        pytest.skip("this bpftool is too old to print an enum's encoding")
    ours = "".join(dump(btf)).encode("utf-8", "surrogateescape")
    if ours != wanted:
        ours = re.sub(rb"^(\[\d+\] (?:TYPE|DECL)_TAG .*) kflag=1$", rb"\1", ours, flags=re.M)
    if ours != wanted:  # say where, not the whole 10 MB
        for ours_line, line in zip(ours.split(b"\n"), wanted.split(b"\n"), strict=False):
            assert ours_line == line
    assert len(ours) == len(wanted)


@on_each_kernel
def test_raw_dump_is_bpftools(kernel: Path) -> None:
    btf = load(kernel)
    _same_as_bpftool(kernel, btf)
    for module in _modules(kernel)[:10]:
        _same_as_bpftool(module, Btf.parse(module.read_bytes(), btf), "-B", str(kernel))


@on_each_kernel
def test_distilled_module_written_back_is_relocated_as_by_libbpf(
    kernel: Path, tmp_path: Path
) -> None:
    base = load(kernel)
    original = elf({".text": b"x", ".BTF": b"old"})
    compared = 0
    for module in _modules(kernel)[:5]:
        distilled, split = distill_base(Btf.parse(module.read_bytes(), base))
        path = tmp_path / "module.ko"
        path.write_bytes(
            replace_sections(
                original, {".BTF": bytes(split.raw), ".BTF.base": bytes(distilled.raw)}
            )
        )
        try:
            ours = load_btf(path, base)
        except BtfRelocateError:
            continue  # named alike twice in the kernel: nobody can tell
        _same_as_bpftool(path, ours, "-B", str(kernel))
        compared += 1
    assert compared or not _modules(kernel)


@on_each_kernel
def test_rebuilding_is_the_identity(kernel: Path) -> None:
    base = load(kernel)
    blobs = [(kernel.read_bytes(), None), *((m.read_bytes(), base) for m in _modules(kernel))]
    for data, below in blobs:
        btf = Btf.parse(data, below)
        builder = Builder.like(btf, types=False)
        for type_id in btf.own_ids():
            builder.add(btf.type_by_id(type_id))
        assert builder.build() == data
        assert Builder.like(btf).build() == data


@on_each_kernel
def test_text_is_lossless(kernel: Path) -> None:
    btf = load(kernel)
    assert assemble(dumps(btf, exact=True)) == bytes(btf.raw)
    text = dumps(btf)
    assert dumps(Btf.parse(assemble(text))) == text
    for path in _modules(kernel):
        module = Btf.parse(path.read_bytes(), btf)
        assert assemble(dumps(module, exact=True), btf) == bytes(module.raw)
        assert dumps(Btf.parse(load_json("".join(dump_json(module)), btf), btf)) == dumps(module)


@on_each_kernel
def test_other_byte_order_reads_the_same(kernel: Path) -> None:
    btf = load(kernel)
    other: Literal["little", "big"] = "big" if btf.byteorder == "little" else "little"
    swapped = Btf.parse(with_byteorder(btf, other))
    assert swapped.byteorder == other
    assert swapped.words == btf.words
    assert with_byteorder(swapped, btf.byteorder) == bytes(btf.raw)


@on_each_kernel
def test_kernels_own_btf_breaks_no_rule(kernel: Path) -> None:
    levels: tuple[Level, ...] = ("basic", "strict", "kernel")
    for level in levels:
        assert list(check(kernel.read_bytes(), level=level)) == []
    for module in _modules(kernel):
        assert list(check(module.read_bytes(), load(kernel), "kernel")) == []


@on_each_kernel
def test_every_type_is_found_by_its_name(kernel: Path) -> None:
    btf = load(kernel)
    for type_id in range(1, btf.type_cnt, 37):
        name = btf.name_of(type_id)
        if name:
            assert type_id in btf.types_by_name(name)


@on_each_kernel
def test_every_type_decodes_and_has_a_size_if_it_should(kernel: Path) -> None:
    btf = load(kernel)
    for type_id in btf.ids():
        decoded = btf.type_by_id(type_id)
        size = getattr(decoded, "size", None)
        if size is not None:
            assert btf.resolve_size(type_id) == size


@on_each_kernel
def test_mutated_kernel_is_refused_or_answered(kernel: Path) -> None:
    data = kernel.read_bytes()
    rng = random.Random(kernel.name)
    for _ in range(5):
        mutated = bytearray(data)
        for _ in range(20):
            at = rng.randrange(len(mutated))
            mutated[at] = rng.randrange(256)
        try:
            btf = Btf.parse(bytes(mutated))
        except BtfError:
            continue
        for type_id in rng.sample(range(1, btf.type_cnt), 200):
            for ask in (btf.type_by_id, btf.resolve_size, btf.align_of, btf.name_of):
                try:
                    ask(type_id)
                except BtfError:
                    pass


@on_each_kernel
def test_mutated_module_is_refused_or_answered(kernel: Path) -> None:
    small = [p for p in _modules(kernel) if p.stat().st_size < 3000]
    rng = random.Random(kernel.name)
    for path in small[:5]:
        data = path.read_bytes()
        for _ in range(40):
            mutated = bytearray(data)
            for _ in range(rng.randrange(1, 6)):
                mutated[rng.randrange(len(mutated))] = rng.randrange(256)
            exercise(bytes(mutated), load(kernel))
