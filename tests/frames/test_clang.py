"""Kernels built by clang: whose parameters are what the source says, and what names them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from btfdbg.btf.text.assemble import parse
from btfdbg.frames import x86_64
from btfdbg.frames.abi import Param, Signature
from btfdbg.frames.disasm import open_disassembler
from btfdbg.frames.prototypes import CHANGED, Prototype, Prototypes
from btfdbg.frames.recover import Recovery
from btfdbg.frames.walked import RawFrame
from btfdbg.kallsyms.model import Sym
from tests.frames.code import Bytes, to, x86
from tests.frames.test_midst import MOV_RBX_RDI, MOV_RBX_RSI, POP_RBX, PUSH_RBX, RET, STACK

TEXT = 0xFFFF_FFFF_8100_0000
END = TEXT + 0x1000
DATA = END
FUNCTION = TEXT + 0x100
OTHER = TEXT + 0x200
BTF = """\
[1] INT 'int' size=4 bits_offset=0 nr_bits=32 encoding=SIGNED
[2] FUNC_PROTO '(anon)' ret_type_id=1 vlen=1
\t'number' type_id=1
[3] FUNC 'open_it' type_id=2 linkage=static
"""
LEA = b"\x48\x8d\x3d" + (FUNCTION - TEXT - 7).to_bytes(4, "little")


class Converter:
    """Of that BTF."""

    btf = parse(BTF)


def prototypes(
    names: dict[str, int],
    text: bytes = b"",
    data: int = 0,
    letter: str = "t",
    exported: bool = False,
    banner: bytes = b"Linux version 6.12 (Debian clang version 19.1.7)",
    letters: dict[str, str] | None = None,
) -> Prototypes:
    """Prototypes of a kernel that has these functions, this text, and one word of data."""
    symbols = [
        Sym(name, address, 0x20, (letters or {}).get(name, letter))
        for name, address in names.items()
    ]

    def by_name(name: str, module: str = "") -> tuple[Sym, ...]:
        return tuple(s for s in symbols if s.name == name)

    def lookup(name: str) -> tuple[Sym, ...]:
        made = {"linux_banner": DATA + 8}
        if exported:
            made |= {"__ksymtab_open_it": DATA, "__ksymtab_kfree": DATA}
        return (Sym(name, made[name], 8, "D"),) if name in made else ()

    def memory(address: int, size: int) -> bytes | None:
        whole = text.ljust(END - TEXT, b"\x90") + data.to_bytes(8, "little") + banner.ljust(256)
        return whole[address - TEXT : address - TEXT + size]

    table = SimpleNamespace(by_name=by_name, names=lambda: iter(names))
    converter = Converter()
    session = SimpleNamespace(symbols=table, converter=converter, lookup_symbols=lookup)
    texts = SimpleNamespace(
        machine="x86_64",
        module_of=lambda address: "",
        names_at=lambda address: tuple(n for n, a in names.items() if a == address),
        by_name=by_name,
        kernel_range=lambda: (TEXT, END),
        ranges=lambda module, everywhere: [(TEXT, END)],
        data=lambda module: [(DATA, DATA + 8)],
        memory=memory,
    )
    return Prototypes(cast("Any", session), cast("Any", texts))


PLAIN, PROMOTED = {"open_it": FUNCTION}, {"open_it.llvm.123": FUNCTION}


@pytest.mark.parametrize("names", [PLAIN, PROMOTED], ids=["plain", "promoted"])
@pytest.mark.parametrize(
    ("evidence", "is_known"),
    [
        pytest.param({}, False, id="nothing"),
        pytest.param({"text": LEA}, True, id="code takes its address"),
        pytest.param({"text": b"\xe8" + LEA[3:]}, False, id="code calls it"),
        pytest.param({"data": FUNCTION}, True, id="a table has it"),
        pytest.param({"data": FUNCTION + 4}, False, id="a table has an address in it"),
        pytest.param({"exported": True}, True, id="exported"),
        pytest.param({"letter": "T"}, True, id="global"),
        pytest.param({"banner": b"Linux version 6.12 (gcc 14)"}, True, id="gcc"),
    ],
)
def test_a_local_function_that_somebody_has_the_address_of(
    names: dict[str, int], evidence: dict[str, Any], is_known: bool
) -> None:
    found = prototypes(names, **evidence).at(FUNCTION)
    if names is PROMOTED and b"clang" not in evidence.get("banner", b"clang"):
        assert found == "BTF has no function open_it.llvm.123"
    elif is_known:
        assert isinstance(found, Prototype)
        assert found.name == "open_it"
        assert [p.registers for p in found.signature.params] == [("rdi",)]
    else:
        assert found == CHANGED


@pytest.mark.parametrize(
    "names",
    [
        {"open_it": FUNCTION, "open_it.llvm.123": OTHER},
        {"open_it.llvm.1": FUNCTION, "open_it.llvm.2": OTHER},
    ],
)
def test_two_functions_of_one_name_in_c_have_no_prototype(names: dict[str, int]) -> None:
    for address in names.values():
        said = prototypes(names, data=address).at(address)
        assert said == "there are several functions open_it"


def test_what_one_stack_shows_holds_for_no_other() -> None:
    known = prototypes(PLAIN)
    assert isinstance(known.at_call(FUNCTION), Prototype)
    assert known.at(FUNCTION) == CHANGED
    assert known.at_call(OTHER) == "no function starts there"


ENTRY = TEXT + 0x300


@pytest.mark.parametrize(
    ("letters", "changed", "expected"),
    [
        pytest.param({"entry": "T"}, {}, True, id="assembly, all others hidden"),
        pytest.param({"entry": "t"}, {}, False, id="local"),
        pytest.param({"entry": "T", "kfree": "T"}, {}, False, id="exported ones are global"),
        pytest.param({"entry": "T"}, {"exported": False}, False, id="nothing is exported"),
        pytest.param({"entry": "T"}, {"banner": b"gcc"}, False, id="gcc"),
    ],
)
def test_assembly_in_a_kernel_that_clang_optimised_as_a_whole(
    letters: dict[str, str], changed: dict[str, Any], expected: bool
) -> None:
    names = PLAIN | {"entry": ENTRY, "kfree": OTHER}
    known = prototypes(names, letters=letters, **{"exported": True} | changed)
    assert known.is_foreign(ENTRY) is expected


def test_what_btf_has_is_no_assembly() -> None:
    names = PLAIN | {"kfree": OTHER}
    letters = {"open_it": "T", "kfree": "t"}
    assert not prototypes(names, exported=True, letters=letters).is_foreign(FUNCTION)


# An indirect call on a stack, or one by assembly

CALLER, CALLED = TEXT, TEXT + 0x100
CALL_RBX = b"\xff\xd3"
CALLERS = x86(PUSH_RBX, MOV_RBX_RSI, CALL_RBX, POP_RBX, RET)
CALLEDS = x86(PUSH_RBX, MOV_RBX_RDI, b"\xe8" + to(OTHER, CALLED + 9), POP_RBX, RET)


DIRECT = x86(PUSH_RBX, MOV_RBX_RSI, b"\xe8" + to(CALLED, CALLER + 9), POP_RBX, RET)


@pytest.mark.parametrize(
    ("code", "pointer", "is_foreign", "is_kept"),
    [
        pytest.param(CALLERS, CALLED, False, True, id="through its pointer"),
        pytest.param(CALLERS, CALLED + 0x100, False, False, id="through another pointer"),
        pytest.param(DIRECT, 0x1234, True, True, id="by assembly"),
        pytest.param(DIRECT, 0x1234, False, False, id="by another function"),
    ],
)
def test_a_call_on_the_stack_shows_that_the_parameters_are_kept(
    code: bytes, pointer: int, is_foreign: bool, is_kept: bool
) -> None:
    pytest.importorskip("capstone")
    number = Param("number", 1, 8, ("rdi",))
    asked = []
    back = CALLER + 6 if code is CALLERS else CALLER + 9
    stack = {STACK: pointer, STACK + 8: back, STACK + 16: 0x1111, STACK + 24: END + 5}

    class Text:
        """Two functions and their stack."""

        def function(self, pc: int) -> Bytes | str:
            if pc >= END:
                return "no function"
            its, name = (code, "caller") if pc < CALLED else (CALLEDS, "called")
            made = Moved(its, CALLER if pc < CALLED else CALLED)
            made.names = (name,)
            return made

        def prototype_at(self, address: int) -> object:
            return CHANGED

        def prototype_at_call(self, address: int) -> object:
            asked.append(address)
            return SimpleNamespace(name="called", signature=Signature((number,), taken=6))

        def names_at(self, address: int) -> tuple[str, ...]:
            return ()

        def is_foreign(self, address: int) -> bool:
            return is_foreign and address == CALLER

        def word(self, address: int, size: int = 8) -> int | None:
            return stack.get(address)

        def memory(self, address: int, size: int) -> bytes | None:
            words = range(address, address + size, 8)
            return b"".join(stack.get(at, 0).to_bytes(8, "little") for at in words)

        def reads_registers(self, function: object) -> bool:
            return False

    made = Recovery(
        cast("Any", SimpleNamespace()),
        cast("Any", Text()),
        cast("Any", x86_64),
        open_disassembler("x86_64"),
    )
    frames = [
        RawFrame(CALLED + 9, STACK, False, {"rbx": 77, "rsp": STACK}),
        RawFrame(back, STACK + 16, False, {}),
        RawFrame(END + 5, STACK + 32, False, {}),
    ]
    found = made.walk(frames)[0]
    assert found.problem == ""
    if is_kept:
        assert asked == [CALLED]
        assert [p.words for p in found.params] == [(77,)]
    else:
        assert (asked, found.params) == ([], ())


class Moved(Bytes):
    """A function of the names that it has, at an address."""

    module = ""
    names: tuple[str, ...] = ()

    def __init__(self, code: bytes, start: int) -> None:
        super().__init__(code)
        self.start, self.end = start, start + len(code)
        self._code = code

    def read(self, address: int, end: int) -> bytes:
        return self._code[address - self.start : end - self.start]
