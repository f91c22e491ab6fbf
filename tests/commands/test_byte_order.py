"""Memory of a big-endian machine is read as its words are, where we read it ourselves."""

from __future__ import annotations

import argparse

import drgn
import pytest

from btfdbg.commands.crash import net, search
from btfdbg.commands.crash.call import Call
from btfdbg.commands.crash.stack import Stack

BASE = 0x1000
DATA = (0x57AC6E9D).to_bytes(8, "big") + (0x0102030405060708).to_bytes(8, "big")


@pytest.fixture
def prog() -> drgn.Program:
    prog = drgn.Program(drgn.Platform(drgn.Architecture.S390X, drgn.PlatformFlags.IS_64_BIT))
    prog.add_memory_segment(
        BASE, len(DATA), lambda address, count, offset, physical: DATA[offset : offset + count]
    )
    return prog


def _call(prog: drgn.Program, command: str, **args: object) -> Call:
    return Call(command, prog, argparse.Namespace(**args), lambda: None)


def test_a_stack_has_the_words_of_its_machine(prog: drgn.Program) -> None:
    words = Stack(BASE, len(DATA)).words(prog)
    assert list(words) == [(BASE, 0x57AC6E9D), (BASE + 8, 0x0102030405060708)]


def test_search_finds_the_words_of_its_machine(prog: drgn.Program) -> None:
    given = {"strings": False, "u32": False, "u16": False, "ignore_mask": None}
    whole = search._matcher(_call(prog, "search", values=["102030405060708"], **given))
    assert whole(DATA) == [(8, "102030405060708")]
    masked = search._matcher(
        _call(
            prog, "search", values=["3040000"], **(given | {"u32": True, "ignore_mask": 0xFF00FFFF})
        )
    )
    assert masked(DATA) == []
    half = search._matcher(_call(prog, "search", values=["506"], **(given | {"u16": True})))
    assert half(DATA) == [(12, "506")]


def test_an_address_of_ipv4_is_as_memory_has_it(
    prog: drgn.Program, capsys: pytest.CaptureFixture[str]
) -> None:
    net.ipv4(_call(prog, "net", **{"crash N": "0x7f000001"}))
    assert capsys.readouterr().out == "127.0.0.1\n"
