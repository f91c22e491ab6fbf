"""Trimming a dump: what is in the new one, what is not, and who opens it."""

from __future__ import annotations

import os
import subprocess
import sys
from functools import cache
from pathlib import Path

import drgn
import pytest

import btfdbg
from btfdbg.cli.main import main
from btfdbg.trim.privacy import Classifier, Owner
from corefiles.manifest import read_entry
from corefiles.oracle import views
from tests.trim.kdump_reader import KdumpReader

COMMANDS = ("ps", "mod", "log", "mount", "bt -a", "foreach bt", "net", "kmem -s")


@cache
def trimmed(core: Path, folder: Path) -> Path:
    out = folder / f"{core.name}.trimmed"
    assert main(["trim", str(core), str(out), "-q"]) == 0
    return out


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("trim")


def full_dumps() -> list[Path]:
    """Whole dumps with user memory in them, out of the folder in BTFDBG_DUMPS."""
    where = os.environ.get("BTFDBG_DUMPS")
    names = (
        *("6.12-amd64-sysrq-qemu-elf", "6.1-amd64-hung-qemu-elf", "6.12-arm64-null-qemu-elf"),
        *("7.x-amd64-sysrq-qemu-elf", "7.x-arm64-hung-qemu-elf", "7.x-riscv64-sysrq-qemu-elf"),
        *("6.12-ppc64el-sysrq-qemu-elf", "6.12-s390x-sysrq-qemu-elf"),
    )
    found = [Path(where) / f"{name}.vmcore" for name in names] if where else []
    return [path for path in found if path.exists()]


FULL = full_dumps()
# drgn reads no memory of user programs on riscv64.
WITH_USER = [path for path in FULL if "riscv64" not in path.name]


@pytest.mark.parametrize("fixture", ["x86_core", "arm_core"])
def test_a_trimmed_dump_answers_as_its_source(
    fixture: str, folder: Path, request: pytest.FixtureRequest
) -> None:
    core: Path = request.getfixturevalue(fixture)
    before = btfdbg.program_from_core_dump(core)
    after = btfdbg.program_from_core_dump(trimmed(core, folder))
    assert views.stacks(after) == views.stacks(before)
    for line in COMMANDS:
        found = views.command(after, line)
        assert "error" not in found, line
        assert found == views.command(before, line)
    assert btfdbg.session(after).notes == btfdbg.session(before).notes
    assert btfdbg.session(after).modules.keys() == btfdbg.session(before).modules.keys()


def test_a_trimmed_dump_is_no_larger_than_it_must_be(x86_core: Path, folder: Path) -> None:
    out = trimmed(x86_core, folder)
    assert out.stat().st_size <= x86_core.stat().st_size


def test_what_only_x86_has_is_not_missed_on_arm64(
    arm_core: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["trim", str(arm_core), str(tmp_path / "out")]) == 0
    said = capsys.readouterr()
    assert "e820_table" not in said.out + said.err


def test_drgn_alone_opens_a_trimmed_dump(x86_core: Path, folder: Path) -> None:
    out = trimmed(x86_core, folder)
    code = (
        "import sys, drgn; p = drgn.Program(); p.set_core_dump(sys.argv[1]);"
        "a = [l for l in p['VMCOREINFO'].string_().decode().splitlines()"
        " if l.startswith('SYMBOL(init_uts_ns)=')][0];"
        "print(p['UTS_RELEASE'].string_().decode(), b'Linux' in p.read(int(a[20:], 16), 64))"
    )
    # libkdumpfile's own walk of the page tables, and drgn's.
    for reader in ("0", "1"):
        environment = {
            **os.environ,
            "DRGN_DISABLE_PLUGINS": "*",
            "DRGN_PREFER_PGTABLE_READER": reader,
        }
        said = subprocess.run(
            [sys.executable, "-c", code, str(out)],
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        )
        with KdumpReader(out) as header:
            assert said.stdout.split() == [header.uts.release, "True"]


def test_a_page_that_was_left_out_reads_as_an_error(x86_core: Path, folder: Path) -> None:
    out = trimmed(x86_core, folder)
    with KdumpReader(out) as reader:
        held = set(reader.pfns())
        missing = next(p for p in range(16, reader.max_pfn) if p not in held)
    prog = btfdbg.program_from_core_dump(out)
    with pytest.raises(drgn.FaultError):
        prog.read(missing * 4096, 8, True)


def test_trimming_onto_the_dump_itself_is_refused(
    x86_core: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    size = x86_core.stat().st_size
    assert main(["trim", str(x86_core), str(x86_core)]) == 2
    assert "is the dump itself" in capsys.readouterr().err
    assert x86_core.stat().st_size == size


def test_a_command_that_fails_is_named_and_gives_status_1(
    x86_core: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    status = main(["trim", str(x86_core), str(out), "--only", "-x", "crash struct no_such_type"])
    assert status == 1
    assert "no_such_type" in capsys.readouterr().err
    assert out.exists()


def test_a_file_that_cannot_be_written_is_one_error_and_leaves_nothing(
    x86_core: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "none" / "out"
    assert main(["trim", str(x86_core), str(out), "--only"]) == 2
    assert "No such file" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.matrix
@pytest.mark.skipif(not FULL, reason="BTFDBG_DUMPS has no full dumps")
@pytest.mark.parametrize("core", FULL, ids=[p.name for p in FULL])
def test_no_user_page_no_cached_page_and_no_free_page_gets_in(core: Path, folder: Path) -> None:
    out = trimmed(core, folder)
    whole = core.read_bytes()
    markers = {name: word.encode() for name, word in read_entry(core)["markers"].items()}
    # The words are in the source, so that not finding them means something.
    assert all(word in whole for word in markers.values())
    with KdumpReader(out) as reader:
        held = reader.pfns()
        for pfn in held:
            page = reader.page(pfn)
            assert not [name for name, word in markers.items() if word in page]
    classifier = Classifier(btfdbg.session(btfdbg.program_from_core_dump(core)))
    assert {classifier.owner(pfn) for pfn in held} == {Owner.KERNEL}


@pytest.mark.matrix
@pytest.mark.skipif(not FULL, reason="BTFDBG_DUMPS has no full dumps")
@pytest.mark.parametrize("core", WITH_USER, ids=[p.name for p in WITH_USER])
def test_pages_that_a_command_reads_of_a_user_program_are_refused_unless_asked_for(
    core: Path, tmp_path: Path
) -> None:
    without, with_user = tmp_path / "without", tmp_path / "with"
    arguments = ["--only", "-x", "crash ps -a", "-q"]
    assert main(["trim", str(core), str(without), *arguments]) == 0
    assert main(["trim", str(core), str(with_user), *arguments, "--include-user"]) == 0
    classifier = Classifier(btfdbg.session(btfdbg.program_from_core_dump(core)))
    owners = []
    for path in (without, with_user):
        with KdumpReader(path) as reader:
            owners.append({classifier.owner(pfn) for pfn in reader.pfns()})
    assert owners[0] == {Owner.KERNEL}
    assert Owner.ANONYMOUS in owners[1]


@pytest.mark.matrix
@pytest.mark.skipif(not FULL, reason="BTFDBG_DUMPS has no full dumps")
@pytest.mark.parametrize("core", FULL, ids=[p.name for p in FULL])
def test_pages_are_told_as_the_kernel_counts_them(core: Path) -> None:
    from drgn.helpers.linux.mm import for_each_valid_pfn_and_page

    prog = btfdbg.program_from_core_dump(core)
    classifier = Classifier(btfdbg.session(prog))
    counts = dict.fromkeys(Owner, 0)
    for pfn, _ in for_each_valid_pfn_and_page(prog):
        counts[classifier.owner(pfn)] += 1
    stat = prog["vm_zone_stat"]
    free = stat[prog.constant("NR_FREE_PAGES")].counter.value_()
    assert counts[Owner.UNKNOWN] == 0
    # The counters lag behind by what each CPU has not folded in yet; pages on
    # the lists of a CPU count as free with us.
    assert free * 0.95 - 512 < counts[Owner.FREE] < free * 1.05 + 4096
    node = prog["vm_node_stat"]
    anonymous = node[prog.constant("NR_ANON_MAPPED")].counter.value_()
    cache = node[prog.constant("NR_FILE_PAGES")].counter.value_()
    assert abs(counts[Owner.ANONYMOUS] - anonymous) < 512
    assert abs(counts[Owner.CACHE] - cache) < 1024
