"""A module's BTF from its .ko: in any compression, believed only if it is of this kernel."""

from __future__ import annotations

import gzip
import lzma
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import drgn
import pytest
import zstandard

from btfdbg.btf import Btf
from btfdbg.btf.distill import distill_base
from btfdbg.errors import DebugInfoError
from btfdbg.program.attach import Options, attach
from btfdbg.program.modules_dir import ModulesDir
from btfdbg.program.session import Session
from btfdbg.vmcore import open_core
from tests.images.elves import elf

from .damaged import Dump

COMPRESSIONS: dict[str, Callable[[bytes], bytes]] = {
    ".ko": bytes,
    ".ko.gz": gzip.compress,
    ".ko.xz": lambda data: lzma.compress(data, check=lzma.CHECK_CRC32),
    ".ko.zst": lambda data: zstandard.ZstdCompressor().compress(data),
}
# The module whose BTF the dump loses.
LOST = "cf_fault"


@pytest.fixture
def dump(oops_core: Path) -> Dump:
    return Dump(oops_core)


def lose(dump: Dump, name: str = LOST) -> Btf:
    """Overwrite a module's BTF in the kernel's memory; what it was."""
    btfs = dump.twin.module_btfs
    assert btfs is not None
    entry = btfs.entry(name)
    assert entry is not None
    dump.put(entry.data, bytes(entry.size))
    return btfs[name]


def attached(dump: Dump, folder: Path) -> Session:
    return attach(dump.prog, Options(modules_dir=folder), dump.info)


def module_file(btf: Btf) -> bytes:
    return elf({".BTF": bytes(btf.raw)})


@pytest.mark.parametrize("suffix", COMPRESSIONS)
def test_types_come_from_the_file_in_any_compression(
    suffix: str, dump: Dump, tmp_path: Path
) -> None:
    own = lose(dump)
    path = tmp_path / "deep" / "inside" / ("cf-fault" + suffix)
    path.parent.mkdir(parents=True)
    path.write_bytes(COMPRESSIONS[suffix](module_file(own)))
    session = attached(dump, tmp_path)
    assert bytes(session.modules[LOST].raw) == bytes(own.raw)
    assert session.module_btf_source(LOST) == str(path)
    # That the dump's own was no good is said all the same.
    assert any(n.step == "btf" or LOST in n.what for n in session.notes)
    widget = session.prog.type("struct cf_widget")
    assert [m.name for m in widget.members][:3] == ["node", "number", "color"]
    # The file is for the one that was lost; the others stay the kernel's own.
    other = next(n for n in session.modules if n != LOST)
    assert "struct btf" in str(session.module_btf_source(other))


def test_without_the_file_the_module_has_no_types_and_a_hint(dump: Dump, tmp_path: Path) -> None:
    lose(dump)
    session = dump.attach()
    assert LOST not in session.modules
    assert any("--modules-dir" in n.hint for n in session.notes)
    with pytest.raises(LookupError):
        session.prog.type("struct cf_widget")


def test_a_file_of_another_kernel_is_refused(dump: Dump, x86_core: Path, tmp_path: Path) -> None:
    other_kernel = Dump(x86_core).twin
    assert other_kernel.release != dump.twin.release
    name = next(
        n
        for n in other_kernel.modules
        if n in dump.twin.modules and len(other_kernel.modules[n].own_ids()) > 200
    )
    lose(dump, name)
    (tmp_path / f"{name}.ko").write_bytes(module_file(other_kernel.modules[name]))
    session = attached(dump, tmp_path)
    assert name not in session.modules
    said = [n for n in session.notes if "was built on another kernel" in n.what]
    assert len(said) == 1
    assert f"the {name}.ko of exactly this kernel" in said[0].hint


def test_a_distilled_base_is_relocated_onto_this_kernel(dump: Dump, tmp_path: Path) -> None:
    own = lose(dump)
    base, split = distill_base(own)
    image = elf({".BTF": bytes(split.raw), ".BTF.base": bytes(base.raw)})
    (tmp_path / "cf_fault.ko").write_bytes(image)
    session = attached(dump, tmp_path)
    assert session.modules[LOST].base is session.vmlinux
    for name in ("struct cf_widget", "enum cf_color"):
        ours, theirs = session.prog.type(name), dump.twin.prog.type(name)
        assert str(ours) == str(theirs)
        assert drgn.sizeof(ours) == drgn.sizeof(theirs)
    node = session.prog.type("struct cf_widget").member("node").type
    assert str(node) == str(session.prog.type("struct list_head"))


def test_a_distilled_base_that_does_not_match_is_refused_by_name(
    dump: Dump, tmp_path: Path
) -> None:
    own = lose(dump)
    base, split = distill_base(own)
    # The kernel has no type of that name any more.
    renamed = bytes(base.raw).replace(b"list_head\0", b"list_body\0")
    assert renamed != bytes(base.raw)
    (tmp_path / "cf_fault.ko").write_bytes(elf({".BTF": bytes(split.raw), ".BTF.base": renamed}))
    session = attached(dump, tmp_path)
    assert LOST not in session.modules
    assert any("list_body" in n.what for n in session.notes)


@pytest.mark.parametrize(
    "content", [b"", b"\x7fELF", b"no module at all" * 100, elf({".text": b"\x90"})],
    ids=["empty", "cut", "text", "no BTF"],
)  # fmt: skip
def test_a_file_that_is_no_module_is_named(content: bytes, dump: Dump, tmp_path: Path) -> None:
    lose(dump)
    path = tmp_path / "cf_fault.ko"
    path.write_bytes(content)
    session = attached(dump, tmp_path)
    assert LOST not in session.modules
    assert any(str(path) in n.what for n in session.notes)


def test_a_module_that_is_nowhere_is_named_with_the_folder(tmp_path: Path, dump: Dump) -> None:
    with pytest.raises(DebugInfoError, match=r"no nothing\.ko under"):
        ModulesDir(tmp_path).load("nothing", dump.twin.vmlinux)


# Real files


def real(name: str) -> Path:
    folder = os.environ.get("BTFDBG_DUMPS")
    path = Path(folder or "/", name)
    if not folder or not path.exists():
        pytest.skip(f"BTFDBG_DUMPS has no {name}")
    return path


@pytest.mark.parametrize("series", ["6.12-amd64-null", "7.x-amd64-null"])
def test_a_real_out_of_tree_module_resolves(series: str, tmp_path: Path) -> None:
    core, module = real(f"{series}-kdump-zlib.vmcore"), real(f"{series}-cf_fault.ko")
    shutil.copyfile(module, tmp_path / "cf_fault.ko")
    prog, info = open_core(core)
    session = attach(prog, Options(modules_dir=tmp_path), info)
    btfs = session.module_btfs
    assert btfs is not None
    folder = ModulesDir(tmp_path)
    relocated = folder.load("cf_fault", session.vmlinux)
    assert LOST in session.modules
    # The dump of 7.x has lost the page with the kernel's own copy.
    assert bytes(session.modules[LOST].raw) == bytes(relocated.raw)
    widget = prog.type("struct cf_widget")
    assert [m.name for m in widget.members][:4] == ["node", "number", "color", "name"]


def test_a_real_module_of_another_series_is_refused(tmp_path: Path) -> None:
    core = real("7.x-amd64-null-kdump-zlib.vmcore")
    shutil.copyfile(real("6.12-amd64-null-cf_fault.ko"), tmp_path / "cf_fault.ko")
    prog, info = open_core(core)
    session = attach(prog, Options(modules_dir=tmp_path), info)
    assert LOST not in session.modules
    assert any("cf_fault" in n.what and n.step == "module BTF" for n in session.notes)
