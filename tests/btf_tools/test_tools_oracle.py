"""Against libbpf, bpftool, pahole and compilers, on small graphs and on real kernels.

What is there is told by the environment, and what is not there is skipped:

BTFDBG_LIBBPF    libbpf.so of 1.5 or newer; BTFDBG_LIBBPF_LOADER, if it needs another C
                 library than this system's: that one's ld.so
BTFDBG_BPFTOOL   command line of bpftool 7.8 or newer
BTFDBG_PAHOLE    command line of pahole
BTFDBG_VMLINUX   files with kernels' BTF, joined by colons
BTFDBG_MODULES   modules' BTF of the first of these kernels, joined by colons
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from btfdbg import images
from btfdbg.btf import Btf
from btfdbg.btf.cheader.asserts import bitfield_program
from btfdbg.btf.cheader.c_layout import Types
from btfdbg.btf.cheader.columns import Columns
from btfdbg.btf.cheader.definitions import CDump
from btfdbg.btf.cheader.header import dump_c
from btfdbg.btf.cheader.text import Texts
from btfdbg.btf.dedup.dedup import dedup
from btfdbg.btf.distill import distill_base
from btfdbg.btf.holes import as_text, holes
from btfdbg.btf.relocate import relocate
from btfdbg.btf.text import assemble, rawtext
from btfdbg.errors import BtfRelocateError

from .dedup_rows import ROWS, SPLIT_ROWS
from .test_cdump import CASES, NAMES
from .test_relocate import MATCHES, _target

pytestmark = pytest.mark.oracle

Libbpf = Callable[..., "list[bytes] | None"]
VMLINUX = [p for p in os.environ.get("BTFDBG_VMLINUX", "").split(":") if p]
MODULES = [p for p in os.environ.get("BTFDBG_MODULES", "").split(":") if p]
# What libbpf is known to get wrong (or, 1.7, to have broken for a while).
KNOWN = ("O", "D29", "D30", "a forward that the base", "an anonymous cycle")


def command(name: str) -> list[str]:
    value = os.environ.get(name)
    if not value:
        pytest.skip(f"{name} is not set")
    return shlex.split(value)


@pytest.fixture(scope="session")
def libbpf(tmp_path_factory: pytest.TempPathFactory) -> Libbpf:
    (library,) = command("BTFDBG_LIBBPF")
    if shutil.which("gcc") is None:
        pytest.skip("no gcc here")
    where = tmp_path_factory.mktemp("oracle")
    folder = str(Path(library).parent)
    subprocess.run(
        ["gcc", "-O1", "-o", where / "oracle", Path(__file__).with_name("oracle.c"), library,
         "-Wl,--allow-shlib-undefined", f"-Wl,-rpath,{folder}"],
        check=True,
    )  # fmt: skip
    loader = os.environ.get("BTFDBG_LIBBPF_LOADER")
    prefix = [loader, "--library-path", folder] if loader else []

    def run(verb: str, *blobs: Btf, outs: int = 1) -> list[bytes] | None:
        """Return what libbpf writes, ``None`` for an error."""
        ins = []
        for number, blob in enumerate(blobs):
            path = where / f"in{number}"
            path.write_bytes(blob.raw)
            ins.append(str(path))
        out = [str(where / f"out{number}") for number in range(outs)]
        argv = [*prefix, str(where / "oracle"), verb, *out, *ins]
        done = subprocess.run(argv, capture_output=True, check=False, timeout=60)
        return [Path(p).read_bytes() for p in out] if done.returncode == 0 else None

    return run


@pytest.mark.parametrize(
    ("name", "types", "left"), [r for r in ROWS if not r[0].startswith(KNOWN)],
    ids=[r[0] for r in ROWS if not r[0].startswith(KNOWN)],
)  # fmt: skip
def test_dedup_agrees_with_libbpf(libbpf: Libbpf, name: str, types: str, left: str) -> None:
    out = libbpf("dedup", assemble.parse(types))
    assert out is not None
    assert rawtext.dumps(Btf.parse(out[0])) == (types if left is None else left)


@pytest.mark.parametrize(
    ("name", "base", "types", "left"), [r for r in SPLIT_ROWS if not r[0].startswith(KNOWN)],
    ids=[r[0] for r in SPLIT_ROWS if not r[0].startswith(KNOWN)],
)  # fmt: skip
def test_split_dedup_agrees_with_libbpf(
    libbpf: Libbpf, name: str, base: str, types: str, left: str
) -> None:
    below = assemble.parse(base)
    out = libbpf("dedup", assemble.parse(types, below), below)
    assert out is not None
    assert rawtext.dumps(Btf.parse(out[0], below)) == left


@pytest.mark.parametrize("row", MATCHES, ids=[r[0] for r in MATCHES])
def test_the_libbpf_column_of_the_matching_rows_is_what_it_does(
    libbpf: Libbpf, row: tuple[str, str, str, tuple[str, ...], int | None, int | None]
) -> None:
    _name, base, split, target, _strict, wanted = row
    distilled = assemble.parse(f"[1] {base}\n")
    onto = _target(target)
    out = libbpf("relocate", onto, assemble.parse(split, distilled), distilled)
    found = None
    if out is not None:
        found = int(Btf.parse(out[0], onto).iter_type_refs(onto.type_cnt)[0])
    assert found == wanted


@pytest.fixture(scope="session")
def kernel() -> Btf:
    if not VMLINUX:
        pytest.skip("BTFDBG_VMLINUX is not set")
    return images.load_btf(VMLINUX[0])


@pytest.mark.parametrize("path", MODULES, ids=os.path.basename)
def test_real_modules_are_deduplicated_at_least_as_well(
    libbpf: Libbpf, kernel: Btf, path: str
) -> None:
    split = images.load_btf(path, kernel)
    ours = dedup(split)
    theirs = libbpf("dedup", split, kernel)
    assert theirs is not None
    assert len(ours.offsets) <= len(Btf.parse(theirs[0], kernel).offsets)
    assert bytes(dedup(ours).raw) == bytes(ours.raw)


@pytest.mark.parametrize("path", MODULES, ids=os.path.basename)
def test_real_modules_are_distilled_and_relocated_to_the_same_bytes(
    libbpf: Libbpf, kernel: Btf, path: str
) -> None:
    split = dedup(images.load_btf(path, kernel))
    base, moved = distill_base(split)
    theirs = libbpf("distill", split, kernel, outs=2)
    assert theirs is not None
    assert rawtext.dumps(Btf.parse(theirs[0])) == rawtext.dumps(base)
    assert rawtext.dumps(Btf.parse(theirs[1], Btf.parse(theirs[0]))) == rawtext.dumps(moved)
    back = relocate(moved, kernel)
    assert libbpf("relocate", kernel, moved, base) == [bytes(back.raw)]
    assert bytes(dedup(back).raw) == bytes(split.raw)


@pytest.mark.parametrize("path", MODULES, ids=os.path.basename)
@pytest.mark.parametrize("other", VMLINUX[1:], ids=os.path.basename)
def test_real_modules_relocate_onto_other_kernels_or_not_as_libbpf_does(
    libbpf: Libbpf, kernel: Btf, path: str, other: str
) -> None:
    target = images.load_btf(other)
    base, moved = distill_base(images.load_btf(path, kernel))
    theirs = libbpf("relocate", target, moved, base)
    try:
        ours = relocate(moved, target)
    except BtfRelocateError:
        assert theirs is None
        return
    if theirs is not None:
        assert bytes(ours.raw) == theirs[0]
    for new, old in zip(ours.own_ids(), moved.own_ids(), strict=True):
        for a, b in zip(ours.iter_type_refs(new), moved.iter_type_refs(old), strict=True):
            assert ours.name_of(a) == moved.name_of(b)


@pytest.mark.parametrize("path", VMLINUX, ids=os.path.basename)
def test_a_deduplicated_kernel_has_no_duplicates_left(path: str) -> None:
    btf = dedup(images.load_btf(path))
    assert len(dedup(btf).offsets) == len(btf.offsets)


def _header(text: str) -> list[str]:
    """Return a header's lines without its frame and bpftool's kfunc prototypes."""
    skipped = ("#", "extern ", "/* BPF kfuncs")
    # Ours pads with smaller units, where larger ones would align what they are in on arm64.
    text = re.sub(r"^(\t+)(?:long|int|short|char): ", r"\1unit: ", text, flags=re.M)
    return [line for line in text.splitlines() if line and not line.startswith(skipped)]


@pytest.mark.parametrize(
    "path", [*(str(CASES / f"{n}.raw") for n in NAMES), *VMLINUX], ids=os.path.basename
)
def test_c_equals_bpftools(path: str, tmp_path: Path) -> None:
    bpftool = command("BTFDBG_BPFTOOL")
    if path.endswith(".raw"):
        btf = assemble.parse(Path(path).read_text())
    else:
        btf = images.load_btf(path)
    (tmp_path / "btf").write_bytes(btf.raw)
    theirs = subprocess.run(
        [*bpftool, "btf", "dump", "file", tmp_path / "btf", "format", "c", "unsorted"],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    ours = [
        # Where bpftool's union has another size than it should.
        line
        for line in _header("".join(dump_c(btf, ms_extensions=True)))
        if "__size[" not in line
    ]
    if path.endswith("packed.raw"):
        ours[-1] = ours[-1].removesuffix(" __attribute__((packed));") + ";"
    assert ours == _header(theirs)


@pytest.mark.parametrize("path", VMLINUX, ids=os.path.basename)
def test_sorted_c_is_bpftools_but_for_types_of_one_name(path: str, tmp_path: Path) -> None:
    btf = images.load_btf(path)
    (tmp_path / "btf").write_bytes(btf.raw)
    file = str(tmp_path / "btf")
    argv = [*command("BTFDBG_BPFTOOL"), "btf", "dump", "file", file, "format", "c"]
    theirs = subprocess.run(argv, capture_output=True, text=True, check=True).stdout
    ours = "".join(dump_c(btf, ms_extensions=True, sort=True, kfuncs=True))
    kfuncs = [
        [line for line in text.splitlines() if line.endswith("__ksym;")] for text in (ours, theirs)
    ]
    assert sorted(kfuncs[0]) == sorted(kfuncs[1])
    lines = [[line for line in _header(text) if "__size[" not in line] for text in (ours, theirs)]
    names = [[line for line in part if line[0] not in "\t}"] for part in lines]
    # bpftool leaves out the first of all types.
    assert sum((Counter(names[0]) - Counter(names[1])).values()) <= 20
    changed = sum(a != b for a, b in zip(names[0][1:], names[1], strict=False))
    assert changed < len(names[0]) // 50


@pytest.mark.parametrize("compiler", ["gcc", "clang-14", "clang"])
@pytest.mark.parametrize("path", VMLINUX, ids=os.path.basename)
def test_compilers_confirm_the_layout_of_a_whole_kernel(
    path: str, compiler: str, tmp_path: Path
) -> None:
    if shutil.which(compiler) is None:
        pytest.skip(f"no {compiler} here")
    header = tmp_path / "vmlinux.h"
    header.write_text("".join(dump_c(images.load_btf(path), assertions=True)))
    argv = [compiler, "-std=gnu11", "-w", "-fsyntax-only", "-x", "c", str(header)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[:2000]


@pytest.mark.parametrize("path", VMLINUX, ids=os.path.basename)
def test_every_bit_field_of_a_whole_kernel_is_where_it_should_be(path: str, tmp_path: Path) -> None:
    if shutil.which("gcc") is None:
        pytest.skip("no gcc here")
    btf = images.load_btf(path)
    if btf.byteorder != "little":
        pytest.skip("the program looks at bytes of this machine")
    (tmp_path / "vmlinux.h").write_text("".join(dump_c(btf)))
    dump = CDump(Types(Columns(btf)))
    for type_id in btf.ids():
        dump.dump(type_id)
    (tmp_path / "bits.c").write_text("".join(bitfield_program(dump, "vmlinux.h")))
    program = tmp_path / "bits"
    subprocess.run(["gcc", "-std=gnu11", "-w", "-o", program, tmp_path / "bits.c"], check=True)
    done = subprocess.run([program], capture_output=True, text=True, check=False)
    checked, failed = map(int, done.stdout.splitlines()[-1].split())
    assert checked > 1000
    assert failed == 0, done.stdout[:2000]


def test_holes_add_up_as_in_pahole(kernel: Btf, tmp_path: Path) -> None:
    (tmp_path / "btf").write_bytes(kernel.raw)
    text = subprocess.run(
        [*command("BTFDBG_PAHOLE"), "-F", "btf", tmp_path / "btf"],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    foot = re.compile(r"^\t/\* ((?:size|sum|padding|bit_padding|last).*?) \*/$", re.M)
    theirs: dict[str, list[list[str]]] = {}
    for name, body in re.findall(r"^struct (\w+) \{\n(.*?)^\}", text, re.S | re.M):
        theirs.setdefault(name, []).append(foot.findall(body))
    texts = Texts(kernel)
    compared = different = 0
    for name, feet in theirs.items():
        ids = kernel.types_by_name(name, 4)
        if len(ids) == len(feet) == 1:
            compared += 1
            different += foot.findall("\n".join(as_text(holes(texts, ids[0])))) != feet[0]
    assert compared > 5000
    # pahole does not count some paddings of members, by rules of its own.
    assert different <= compared // 200
