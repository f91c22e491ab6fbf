"""What the fuzzer found once stays mended; circles and notes have tests of their own."""

from __future__ import annotations

import time
from pathlib import Path

import drgn
import pytest

from btfdbg.commands import execute, namespace
from btfdbg.commands.candidates import candidates
from btfdbg.kallsyms import scan
from btfdbg.program.module_restore import restore_modules
from btfdbg.program.session import Session
from tests.patches.test_watchdog import damaged


@pytest.fixture(scope="module")
def session() -> Session:
    from tests.conftest import bundled_dumps

    path = next((p for p, e in bundled_dumps() if e["arch"] == "amd64" and p.exists()), None)
    if path is None:
        pytest.skip("no amd64 dump is bundled")
    return damaged(path, lambda prog: [])


def test_a_missing_member_of_an_anonymous_type_is_one_line(session: Session) -> None:
    """drgn calls it "struct <anonymous>", which is not the name of a type."""
    prog = session.prog
    anonymous = prog.struct_type(None, 8, (drgn.TypeMember(prog.int_type("int", 4, True), "a"),))
    with pytest.raises(LookupError) as caught:
        drgn.Object(prog, anonymous, {"a": 1}).member_("b")
    assert "<anonymous>" in namespace.one_line_about(session, caught.value)
    assert candidates(session)("member struct <anonymous>") == []


def test_megabytes_of_zeros_are_searched_at_once() -> None:
    """A kernel's tables with a page lost were looked for in them for 20 seconds."""
    end = 1 << 40
    zeros = bytes(16 << 20)

    def read(address: int, size: int) -> bytes:
        if address < end - len(zeros):
            raise drgn.FaultError("not there", address)
        return zeros[:size]

    table = scan.TokenTable(end, end + 2048, (), "little")
    before = time.process_time()
    assert scan._names_before_seqs(read, table) is None
    assert time.process_time() - before < 3


def test_a_number_of_cpus_beyond_their_set_is_cut(x86_core: Path) -> None:
    def many(prog: drgn.Program) -> list[tuple[int, int]]:
        address = prog["nr_cpu_ids"].address_ or 0
        return [(address, prog.read_u32(address + 4) << 32 | 0x7FFFFFFF)]

    from drgn.helpers.linux.cpumask import for_each_online_cpu, num_online_cpus

    session = damaged(x86_core, many)
    namespace.load_commands()
    cpus = list(for_each_online_cpu(session.prog))
    assert 0 < len(cpus) <= 8
    assert num_online_cpus(session.prog) == len(cpus)


def test_a_module_beyond_the_address_space_is_not_restored(oops_core: Path) -> None:
    def endless(prog: drgn.Program) -> list[tuple[int, int]]:
        module = drgn.container_of(prog["modules"].next.next, "struct module", "list")
        size = module.mem[0].size
        word = size.address_ or 0
        # The size of its text with its neighbour, and its place close to the end.
        return [(word, 0x7FFFFFFF), (module.mem[0].base.address_ or 0, (1 << 64) - 4096)]

    session = damaged(oops_core, endless)
    assert restore_modules(session) >= 0


@pytest.mark.parametrize("bits", [21, 40, 63, 0xFFFFFFFF])
def test_a_table_of_neighbours_of_any_size_is_named(
    bits: int, x86_core: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As a number with so many bits it took half a gigabyte by itself."""

    def large(prog: drgn.Program) -> list[tuple[int, int]]:
        shift = prog["arp_tbl"].nht.hash_shift.address_ or 0
        return [(shift, prog.read_u32(shift + 4) << 32 | bits)]

    session = damaged(x86_core, large)
    assert execute.run_commands(session, ["net -a"]) == 1
    assert f"is damaged: it has 2**{bits} buckets" in capsys.readouterr().err
