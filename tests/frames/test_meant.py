"""What becomes of eight bytes says whether they are a pointer."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import drgn
import pytest

from btfdbg.frames.abi import Param, Signature
from btfdbg.frames.meant import is_pointer
from btfdbg.frames.prototypes import Prototype
from tests.frames.code import BASE, OTHER, Bytes, analyse, x86

pytest.importorskip("capstone")

PROG = drgn.Program(drgn.Platform(drgn.Architecture.X86_64))
NUMBER = PROG.int_type("unsigned long", 8, False)
POINTER = PROG.pointer_type(PROG.struct_type("node", 64, ()))
LOAD = bytes.fromhex("488b4708")  # mov rax, [rdi+8]
THROUGH = bytes.fromhex("8b4820")  # mov ecx, [rax+0x20]
PASS = bytes.fromhex("4889c7")  # mov rdi, rax
CALL = (b"\xe8", OTHER)
CLEAR = b"\x31\xc0"  # xor eax, eax
RETURN = b"\xc3"


def recovery(result: drgn.Type, parameter: drgn.Type) -> Any:
    """Something that knows the result of the function, and the parameter of ``OTHER``."""
    converter: Any = SimpleNamespace(convert=lambda type_id: parameter if type_id else result)
    prototype = Prototype("f", Signature((Param("p", 1, 8, ("rdi",)),)), 0, converter)
    return SimpleNamespace(text=SimpleNamespace(prototype_at=lambda address: prototype))


@pytest.mark.parametrize(
    ("parts", "result", "parameter", "said"),
    [
        ((LOAD, RETURN), NUMBER, NUMBER, False),
        ((LOAD, RETURN), POINTER, NUMBER, True),
        ((LOAD, RETURN), PROG.void_type(), NUMBER, None),
        ((LOAD, CLEAR, RETURN), NUMBER, NUMBER, None),
        ((LOAD, THROUGH, CLEAR, RETURN), NUMBER, NUMBER, True),
        ((LOAD, PASS, CALL, CLEAR, RETURN), NUMBER, POINTER, True),
        ((LOAD, PASS, CALL, CLEAR, RETURN), POINTER, NUMBER, False),
        ((LOAD, THROUGH, RETURN), NUMBER, NUMBER, None),  # one says this, one that
        ((bytes.fromhex("8b4708"), RETURN), NUMBER, NUMBER, None),  # four bytes
    ],
)
def test_what_becomes_of_it(
    parts: tuple[Any, ...], result: drgn.Type, parameter: drgn.Type, said: bool | None
) -> None:
    flow = analyse(Bytes(x86(*parts)))
    assert is_pointer(recovery(result, parameter), flow, flow.insns[BASE]) is said
