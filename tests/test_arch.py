"""One row per architecture: complete, told apart, and named as the kernel names it."""

from __future__ import annotations

import importlib.util
import json
import re
import struct
from pathlib import Path

import pytest
from drgn import Architecture, Platform, PlatformFlags

from btfdbg import arch
from btfdbg.arch import ARCHES, Arch, by_elf, by_name, known_names
from btfdbg.vmcore.platforms import (
    arch_of,
    architecture_of,
    architecture_of_elf,
    machine_of,
    platform_named,
)
from corefiles.machines import MACHINES

_64 = PlatformFlags.IS_64_BIT
_LITTLE = _64 | PlatformFlags.IS_LITTLE_ENDIAN
_ROOT = Path(arch.__file__).parent

ROWS = pytest.mark.parametrize("row", ARCHES, ids=lambda row: row.name)

# Rows that no bootable distribution kernel stands behind, with the reason.
WITHOUT_A_COREFILE = {"ppc64": "Debian builds no big-endian ppc64 kernel with BTF"}


@ROWS
def test_a_row_names_an_architecture_of_drgn(row: Arch) -> None:
    assert architecture_of(row) is not Architecture.UNKNOWN
    assert arch_of(architecture_of(row), row.little_endian) is row
    assert architecture_of_elf(row.e_machine) is architecture_of(row)


@ROWS
def test_a_row_has_its_page_table_walker(row: Arch) -> None:
    assert importlib.util.find_spec(f"btfdbg.vmcore.paging.{row.paging}") is not None


@ROWS
def test_a_row_has_a_machine_that_builds_corefiles(row: Arch) -> None:
    assert (row.debian in MACHINES) != (row.name in WITHOUT_A_COREFILE), row.name


def test_every_machine_of_the_corefiles_has_a_row() -> None:
    assert {row.debian for row in ARCHES} >= set(MACHINES)


@ROWS
def test_a_row_tells_its_vmcoreinfo_apart(row: Arch) -> None:
    marks = row.markers
    assert marks.numbers or marks.symbols or marks.values or marks.swapper[0] < marks.swapper[1]


@ROWS
def test_names_lead_to_the_row(row: Arch) -> None:
    assert by_name(row.name) is by_name(row.name.upper()) is by_name(row.debian) is row
    assert by_elf(row.elf, row.little_endian) is row
    assert machine_of(platform_named(row.debian)) == row.name


def test_numbers_of_elf_machines_are_pyelftools_numbers() -> None:
    from elftools.elf.enums import ENUM_E_MACHINE

    assert {row.elf: row.e_machine for row in ARCHES} == {
        row.elf: ENUM_E_MACHINE[row.elf] for row in ARCHES
    }


def test_bundled_dumps_have_a_row() -> None:
    entries = json.loads((_ROOT.parent / "corefiles" / "manifest.json").read_text())
    assert {entry["arch"] for entry in entries} <= {row.debian for row in ARCHES}


def test_the_program_counter_lies_in_the_registers() -> None:
    for row in ARCHES:
        assert row.pc >= 112
        assert row.pc % struct.calcsize("Q") == 0


@pytest.mark.parametrize(
    ("architecture", "flags", "name"),
    [
        (Architecture.X86_64, _LITTLE, "x86_64"),
        (Architecture.AARCH64, _LITTLE, "aarch64"),
        (Architecture.PPC64, _LITTLE, "ppc64le"),
        (Architecture.PPC64, _64, "ppc64"),
        (Architecture.S390X, _64, "s390x"),
        (Architecture.RISCV64, _LITTLE, "riscv64"),
        (Architecture.LOONGARCH64, _LITTLE, "loongarch64"),
    ],
)
def test_a_machine_is_named_as_uname_does(
    architecture: Architecture, flags: PlatformFlags, name: str
) -> None:
    assert machine_of(Platform(architecture, flags)) == name


def test_without_a_platform_there_is_no_name() -> None:
    assert machine_of(None) == ""


def test_no_other_file_keeps_a_table_of_architectures() -> None:
    """Two of drgn's enumerators as keys in one file are a second table."""
    key = re.compile(r"Architecture\.\w+: [^\n]")
    for path in _ROOT.rglob("*.py"):
        assert len(key.findall(path.read_text())) < 2, path


def test_a_message_names_those_that_people_have() -> None:
    assert known_names() == "aarch64, riscv64, x86_64, s390x or ppc64le"
