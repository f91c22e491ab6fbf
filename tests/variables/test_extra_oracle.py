"""Extra BTF against pahole and against DWARF, on real kernels, modules and dumps.

``BTFDBG_DEBUG`` holds one folder per release with ``vmlinux`` and ``modules/`` with DWARF
(``python -m corefiles debug``), ``BTFDBG_DUMPS`` dumps with their entries. pahole 1.28 or
newer is the one in ``BTFDBG_PAHOLE``, or the PATH's.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from functools import lru_cache
from pathlib import Path

import pytest
from drgn import Architecture, Platform, Program

import btfdbg
from btfdbg import images
from btfdbg.btf import Btf, Kind, kinds
from btfdbg.cdecl import format_type
from btfdbg.program.convert import TypeConverter
from btfdbg.varextract.check import compare
from btfdbg.varextract.dwarfvars import more_rows
from btfdbg.varextract.elfkernel import ElfKernel
from btfdbg.varextract.elfsyms import build_id_of, read_symbols
from btfdbg.varextract.encode import Encoded, encode
from btfdbg.varextract.extract import extract, module_name
from btfdbg.variables.convert import describe
from btfdbg.variables.evidence import DumpEvidence
from btfdbg.variables.extra import ExtraBtf
from btfdbg.variables.lookup import VariableTypes
from btfdbg.variables.provenance import Source
from corefiles.manifest import entry_path, read_entry

# A whole kernel with DWARF takes a minute or two; on a busy machine much longer.
pytestmark = [pytest.mark.oracle, pytest.mark.timeout(3600)]

FEATURES = (
    "encode_force,var,float,enum64,decl_tag,type_tag,optimized_func,consistent_func,global_var"
)
MODULES = ("nf_tables", "bridge", "xfs", "loop")
# pahole takes these for the compiler's own and leaves them out by name.
FILTERED = ("__tpstrtab_", "__UNIQUE_ID", "__exitcall_", "__func_stack_frame_non_standard_")
# pahole 1.32 puts a module's ELF notes into the section that has the number 0 in its table.
MISPLACED = ".debug_info"

Variables = dict[tuple[str, int, str], tuple[str, int, int]]


def _kernels() -> list[Path]:
    folder = os.environ.get("BTFDBG_DEBUG")
    found = sorted(Path(folder).glob("*/vmlinux")) if folder else []
    return [path for path in found if _has_btf(path)]


def _has_btf(path: Path) -> bool:
    from btfdbg.varextract.elfsyms import open_elf

    with open_elf(path) as elf:
        section = elf.get_section_by_name(".BTF")
        return section is not None and section["sh_type"] != "SHT_NOBITS"


KERNELS = _kernels()
needs_kernels = pytest.mark.skipif(not KERNELS, reason="BTFDBG_DEBUG names no vmlinux with DWARF")
each_kernel = pytest.mark.parametrize("vmlinux", KERNELS, ids=[p.parent.name for p in KERNELS])


@lru_cache(maxsize=1)
def _pahole() -> str | None:
    program = os.environ.get("BTFDBG_PAHOLE") or shutil.which("pahole")
    if program is None:
        return None
    done = subprocess.run([program, "--supported_btf_features"], capture_output=True, text=True)
    return program if "global_var" in done.stdout else None


def _by_pahole(path: Path, out: Path, base: Path | None = None) -> bytes:
    program = _pahole()
    if program is None:
        pytest.skip("no pahole that knows global_var: BTFDBG_PAHOLE names none")
    more = [] if base is None else [f"--btf_base={base}"]
    command = [program, "-j1", f"--btf_features={FEATURES}", f"--btf_encode_detached={out}"]
    subprocess.run([*command, *more, str(path)], check=True, timeout=1800)
    return out.read_bytes()


def _ours(path: Path, base: Btf, *, statics: bool = True) -> Encoded:
    symbols = read_symbols(path)
    image = extract(path, module=module_name(path) if symbols.is_relocatable else "")
    more = more_rows(path, image, symbols, statics=statics)
    build_id = build_id_of(path)
    return encode(image, symbols, base, profile="all", more=more, build_id=build_id)


def _variables(btf: Btf) -> Variables:
    """All variables of a BTF's own DATASECs: (section, offset, name) → (type, size, linkage)."""
    prog = Program(Platform(Architecture.X86_64))
    converters: list[TypeConverter] = []
    for level in btf.chain():
        converters.append(TypeConverter(prog, level, converters[-1] if converters else None))
    found: Variables = {}
    texts: dict[int, str] = {}
    for id_ in btf.own_ids():
        if btf.kind_of(id_) != Kind.DATASEC:
            continue
        section = btf.type_by_id(id_)
        assert isinstance(section, kinds.Datasec)
        for info in section.vars:
            var = btf.type_by_id(info.type)
            assert isinstance(var, kinds.Var)
            if var.type not in texts:
                texts[var.type] = format_type(describe(converters[-1].convert(var.type)))
            place = (section.name, info.offset, var.name)
            found[place] = (texts[var.type], info.size, var.linkage)
    return found


def _compare(theirs: Variables, ours: Variables) -> None:
    assert theirs
    differ = {k: (theirs[k], ours[k]) for k in theirs.keys() & ours.keys() if theirs[k] != ours[k]}
    assert not differ
    missing = {k for k in theirs.keys() - ours.keys() if k[0] != MISPLACED}
    # pahole has the name of DWARF, we that of the symbol, which a debugger asks for.
    renamed = {(s, o, f"__pi_{name}"): theirs[s, o, name] for s, o, name in missing}
    assert {k: ours.get(k) for k in renamed} == renamed
    left_out = {
        name
        for _, _, name in ours.keys() - theirs.keys()
        if not re.search(r"\.\d+$", name) and not name.startswith(FILTERED)
    }
    # What is left: declared before without a length, and symbols of assembly.
    assert len(left_out) < 0.02 * len(theirs) + 40


@needs_kernels
@each_kernel
def test_a_kernel_has_the_variables_and_types_that_pahole_gives_it(
    vmlinux: Path, tmp_path: Path
) -> None:
    theirs = Btf.parse(_by_pahole(vmlinux, tmp_path / "pahole.btf"))
    base = images.load_btf(str(vmlinux), None)
    done = _ours(vmlinux, base)
    assert not done.skipped
    _compare(_variables(theirs), _variables(Btf.parse(done.btf, base)))


@needs_kernels
@each_kernel
def test_a_kernels_extra_btf_has_every_variable_right(vmlinux: Path) -> None:
    kernel = ElfKernel(vmlinux)
    base = kernel.btf()
    extra = ExtraBtf.parse(_ours(vmlinux, base, statics=False).btf, base, "x")
    converter = TypeConverter(kernel.prog, extra.btf, TypeConverter(kernel.prog, base))
    variables = VariableTypes(
        kernel.prog,
        DumpEvidence(
            kernel,
            release="",
            architecture=kernel.machine,
            btf=lambda: base,
            extra=lambda: extra,
            convert=lambda _, type_id: converter.convert(type_id),
        ),
    )
    rows = extract(vmlinux).rows
    report = compare(rows, lambda n: len(kernel.by_name(n)) == 1, variables.find, base)
    assert not report.wrong
    assert sum(report.right.values()) >= 0.999 * report.total


def _module_files(vmlinux: Path) -> list[Path]:
    found = {p.name: p for p in (vmlinux.parent / "modules").rglob("*.ko*")}
    return [found[f"{name}.ko"] for name in MODULES if f"{name}.ko" in found]


@needs_kernels
@each_kernel
def test_modules_have_the_variables_and_types_that_pahole_gives_them(
    vmlinux: Path, tmp_path: Path
) -> None:
    files = [path for path in _module_files(vmlinux) if _has_btf(path)]
    if not files:
        pytest.skip("no modules with DWARF and BTF beside it")
    base = images.load_btf(str(vmlinux), None)
    raw = tmp_path / "base.btf"
    raw.write_bytes(base.raw)
    for path in files:
        theirs = Btf.parse(_by_pahole(path, tmp_path / f"{path.name}.btf", raw), base)
        own = images.load_btf(str(path), base)
        done = _ours(path, own)
        assert not done.skipped
        _compare(_variables(theirs), _variables(Btf.parse(done.btf, own)))


def _dumps() -> list[tuple[Path, Path]]:
    """Dumps with loaded modules whose files with DWARF are there: one of each release."""
    folder, debug = os.environ.get("BTFDBG_DUMPS"), os.environ.get("BTFDBG_DEBUG")
    found: dict[str, tuple[Path, Path]] = {}
    for dump in sorted(Path(folder).glob("*qemu-elf.vmcore")) if folder and debug else ():
        if entry_path(dump).exists():
            release = read_entry(dump)["release"]
            vmlinux = Path(debug or "") / release / "vmlinux"
            if vmlinux.exists() and _module_files(vmlinux):
                found.setdefault(release, (dump, vmlinux))
    return list(found.values())


DUMPS = _dumps()


@pytest.mark.skipif(not DUMPS, reason="BTFDBG_DUMPS and BTFDBG_DEBUG name no dump with modules")
@pytest.mark.parametrize(("dump", "vmlinux"), DUMPS, ids=[dump.name for dump, _ in DUMPS])
def test_a_dumps_module_variables_have_the_types_of_dwarf_at_the_third_level(
    dump: Path, vmlinux: Path, tmp_path: Path
) -> None:
    modules = btfdbg.session(btfdbg.program_from_core_dump(dump)).modules
    files = {module_name(p): p for p in _module_files(vmlinux) if module_name(p) in modules}
    if not files:
        pytest.skip(f"none of {', '.join(MODULES)} has BTF in it")
    for name, path in files.items():
        done = _ours(path, modules[name])
        assert not done.skipped
        (tmp_path / f"{build_id_of(path)}.btf").write_bytes(done.btf)
    prog = btfdbg.program_from_core_dump(dump, btf_extra=tmp_path)
    objects = btfdbg.session(prog).module_objects
    assert objects is not None
    checked = 0
    for name, path in files.items():
        for row in extract(path, module=name).rows:
            # Memory of sections that are freed after loading holds no symbols.
            if row.shared or not row.size or row.section.startswith((".init", ".exit", ".modinfo")):
                continue
            try:
                found = prog.variable(row.name, name)
            except LookupError:
                continue  # kept out of the module's symbols, or somebody else's as well
            assert format_type(describe(found.type_)) == row.type, row.name
            # A name in several modules has no source; the kernel's own BTF comes first.
            assert objects.source(row.name) in (
                str(Source.EXTRA_BTF),
                f"BTF of module {name}",
                None,
            )
            checked += 1
    assert checked > 20
    assert not [note for note in btfdbg.session(prog).notes if note.step == "btf-extra"]
