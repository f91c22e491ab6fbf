"""ORC tables without symbols: made ones, and stacks of dumps by them."""

from __future__ import annotations

import struct
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import drgn
import pytest
from drgn.helpers.linux.sched import cpu_curr

import btfdbg
from btfdbg.errors import RefusedError
from btfdbg.kallsyms import KallsymsTable, Sym
from btfdbg.kallsyms.listed import ListedTable
from btfdbg.program import orc_rules
from btfdbg.program.up_cpus import for_each_up_cpu
from tests.program.every_name import DUMPS
from tests.program.support import put

_CODE, _HEADER = 0xFFFFFFFF81000000, 0xFFFFFFFF82000000
_COUNT, _ENTRY = 1000, 6
_IP = _HEADER + 20
_ORC = _IP + 4 * _COUNT
_END = _ORC + _ENTRY * _COUNT
_HASH = bytes.fromhex("fe5d32bf581bd63b2ca9a5c65ba5a625eab3fe24")


def _addresses() -> bytes:
    """Distances from themselves of addresses that ascend through the code."""
    return b"".join(struct.pack("<i", _CODE + 16 * i - (_IP + 4 * i)) for i in range(_COUNT))


def _lea(at: int, target: int) -> bytes:
    return b"\x48\x8d\x3d" + struct.pack("<i", target - (at + 7))


def _scaled(target: int) -> bytes:
    """lea rdi, [rax * 4 + target]"""
    return b"\x48\x8d\x3c\x85" + struct.pack("<I", target & 0xFFFFFFFF)


def _made(
    code: bytes,
    header: bytes = _HASH,
    addresses: bytes | None = None,
    bits: int = 3,
    arch: drgn.Architecture = drgn.Architecture.X86_64,
    symbols: ListedTable | None = None,
) -> Any:
    memory = drgn.Program(drgn.Platform(arch))
    put(memory, _CODE, code)
    put(memory, _HEADER, header)
    put(memory, _IP, _addresses() if addresses is None else addresses)
    function = SimpleNamespace(address=_CODE, size=len(code))
    member = SimpleNamespace(bit_field_size=bits)
    return SimpleNamespace(
        symbols=symbols,
        lookup_symbols=lambda name: [function] if name == "orc_find.part.0" else [],
        prog=SimpleNamespace(
            platform=memory.platform,
            read=memory.read,
            cache={},
            type=lambda name: SimpleNamespace(size=_ENTRY, member=lambda name: member),
        ),
    )


_BLOCKS = _END + -_END % 4
_SCALED = b"\x90" + b"".join(_scaled(place) for place in (_BLOCKS, _ORC, _IP)) + b"\xc3"
_LEA = b"".join(_lea(_CODE + 7 * i, place) for i, place in enumerate((_IP, _ORC, _BLOCKS)))


@pytest.mark.parametrize("code", [_SCALED, _LEA], ids=["by number", "by distance"])
def test_tables_are_found_by_the_code_that_looks_in_them(code: bytes) -> None:
    session = _made(code)
    assert orc_rules.find(session) == orc_rules.OrcTables(_HEADER, _IP, _ORC, _END)
    assert {name: rule(session) for name, rule in orc_rules.RULES.items()} == {
        "__start_orc_header": _HEADER,
        "__stop_orc_header": _IP,
        "__start_orc_unwind_ip": _IP,
        "__stop_orc_unwind_ip": _ORC,
        "__start_orc_unwind": _ORC,
        "__stop_orc_unwind": _END,
    }


def test_a_kernel_without_a_header_has_none() -> None:
    """Before v6.4 a type has two bits; drgn goes by the release then."""
    session = _made(_SCALED, header=bytes(20), bits=2)
    assert orc_rules.find(session) == orc_rules.OrcTables(None, _IP, _ORC, _END)
    assert orc_rules.RULES["__start_orc_header"](session) is None
    assert orc_rules.RULES["__stop_orc_header"](session) is None
    assert orc_rules.RULES["__start_orc_unwind"](session) == _ORC


@pytest.mark.parametrize(
    ("named", "problems", "searched"),
    [
        (["__start_orc_unwind_ip"], (), False),
        (["__start_orc_unwind_ip"], ("a block is lost",), True),
        (["__start_orc_unwind_ip", "__stop_orc_header"], (), True),
        (["__start_orc_unwind_ip", "__start_orc_header"], (), True),
        (["orc_find"], (), True),
    ],
)
def test_a_header_is_not_looked_for_where_the_tables_have_names_and_it_has_none(
    named: list[str], problems: tuple[str, ...], searched: bool
) -> None:
    syms = [Sym(name, 0x1000 * n, 0, "R") for n, name in enumerate(named, 1)]
    table = ListedTable(syms, "listed", complete=True, problems=problems)
    session = _made(_SCALED, symbols=table)
    wanted = (_HEADER, _IP) if searched else (None, None)
    assert tuple(orc_rules.RULES[name](session) for name in orc_rules._HEADER_NAMES) == wanted
    assert bool(session.prog.cache) is searched


@pytest.mark.parametrize(
    "made",
    [
        _made(_SCALED, header=bytes(20)),
        _made(_SCALED, addresses=_addresses()[::-1]),
        _made(_SCALED, addresses=bytes(4 * _COUNT)),
        _made(_SCALED.replace(_scaled(_BLOCKS), b"")),
        _made(_SCALED.replace(_scaled(_ORC), _scaled(_ORC + 4))),
        _made(_SCALED, arch=drgn.Architecture.AARCH64),
    ],
    ids=["unknown header", "descends", "zeros", "no blocks", "another end", "arm64"],
)
def test_what_does_not_fit_is_not_believed(made: Any) -> None:
    assert orc_rules.find(made) is None


def test_without_the_code_there_are_no_tables() -> None:
    with pytest.raises(drgn.FaultError):
        orc_rules.find(_made(_SCALED, addresses=b""))


def test_a_search_that_was_interrupted_is_made_again(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    session = _made(_SCALED)
    with monkeypatch.context() as patch:
        patch.setattr(orc_rules, "find", interrupted)
        with pytest.raises(KeyboardInterrupt):
            orc_rules.RULES["__start_orc_unwind"](session)
    assert orc_rules.RULES["__start_orc_unwind"](session) == _ORC


@pytest.mark.parametrize("core", DUMPS, ids=lambda path: path.stem)
def test_stacks_without_their_symbols_are_the_same_or_refused(
    core: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stacks() -> list[str]:
        prog = btfdbg.program_from_core_dump(core)
        return [str(prog.stack_trace(cpu_curr(prog, cpu))) for cpu in for_each_up_cpu(prog)]

    whole = stacks()
    by_name = KallsymsTable.by_name

    def without(self: KallsymsTable, name: str) -> tuple[Sym, ...]:
        is_hidden = name.startswith(("__start_orc", "__stop_orc"))
        return () if is_hidden else by_name(self, name)

    monkeypatch.setattr(KallsymsTable, "by_name", without)
    try:
        found = stacks()
    except RefusedError:
        session = btfdbg.session(btfdbg.program_from_core_dump(core))
        with pytest.raises(drgn.FaultError):
            orc_rules.find(session)  # the code was left out of the dump
    else:
        assert found == whole
