"""What registers and slots of small functions hold, by code written down byte by byte."""

from __future__ import annotations

import pytest

from btfdbg.frames.environment import Env
from btfdbg.frames.flow import FunctionFlow
from btfdbg.frames.state import NOTHING, SP, Value, is_aligned
from tests.frames.code import BASE, COLD, OTHER, STOPS, Bytes, analyse, to, x86

pytest.importorskip("capstone")

PUSH_RBX, POP_RBX, RET = b"\x53", b"\x5b", b"\xc3"
PUSH_RBP, POP_RBP = b"\x55", b"\x5d"
MOV_RBX_RDI = b"\x48\x89\xfb"
MOV_RDI_RBX = b"\x48\x89\xdf"
MOV_EBX_EDI = b"\x89\xfb"
CALL, JMP = b"\xe8", b"\xe9"
TEST_RDI_RDI = b"\x48\x85\xff"
SUB_RSP_24 = b"\x48\x83\xec\x18"
ADD_RSP_24 = b"\x48\x83\xc4\x18"
INT3 = b"\xcc"
RDI: Value = (("entry", "rdi"), 0, 64)


def at_call(flow: FunctionFlow, number: int = 0) -> dict[str, Value]:
    """Registers behind the function's calls, by order of address."""
    calls = sorted(a for a, i in flow.insns.items() if i.text[0] == "call")
    insn = flow.insns[calls[number]]
    state = flow.before(insn.address)
    assert state is not None
    flow.execute(state, insn)
    return state.regs


def test_an_argument_is_followed_into_a_saved_register() -> None:
    flow = analyse(Bytes(x86(PUSH_RBX, MOV_RBX_RDI, (CALL, OTHER), POP_RBX, RET)))
    regs = at_call(flow)
    assert flow.problem == ""
    assert regs["rbx"] == RDI
    assert regs["rdi"][0] != ("entry", "rdi")  # a call may write to it
    state = flow.before(BASE + len(PUSH_RBX + MOV_RBX_RDI) + 5)
    assert state is not None
    assert state.slots[-8][1] == (("entry", "rbx"), 0, 64)


def test_half_a_register_is_known_by_half() -> None:
    flow = analyse(Bytes(x86(PUSH_RBX, MOV_EBX_EDI, (CALL, OTHER), POP_RBX, RET)))
    assert at_call(flow)["rbx"] == (("entry", "rdi"), 0, 32)


def test_an_argument_plus_a_number_can_be_solved() -> None:
    lea_rbx_rdi_16 = b"\x48\x8d\x5f\x10"
    flow = analyse(Bytes(x86(PUSH_RBX, lea_rbx_rdi_16, (CALL, OTHER), POP_RBX, RET)))
    assert at_call(flow)["rbx"] == (("entry", "rdi"), 16, 64)


def test_what_differs_by_the_path_is_not_known() -> None:
    mov_rbx_rsi = b"\x48\x89\xf3"
    je_over = b"\x74\x03"
    code = x86(PUSH_RBX, MOV_RBX_RDI, TEST_RDI_RDI, je_over, mov_rbx_rsi, (CALL, OTHER), RET)
    assert at_call(analyse(Bytes(code)))["rbx"][0] == ("phi", BASE + 12, "rbx")


def test_what_a_loop_changes_is_not_the_argument_any_more() -> None:
    add_rbx_8 = b"\x48\x83\xc3\x08"
    jmp_back = b"\xeb" + (-(4 + 5 + 2)).to_bytes(1, "little", signed=True)
    code = x86(PUSH_RBX, MOV_RBX_RDI, (CALL, OTHER), add_rbx_8, jmp_back)
    base = at_call(analyse(Bytes(code)))["rbx"][0]
    assert base is not None
    assert base[0] == "phi"


def test_the_state_behind_a_loop_names_no_value_of_an_earlier_turn() -> None:
    # call; mov rbp, rax; call; jmp back: at the second call rbp is this turn's rax, and at the
    # first one nothing says what it is.
    mov_rbp_rax = b"\x48\x89\xc5"
    jmp_back = b"\xeb" + (-(5 + 3 + 5 + 2)).to_bytes(1, "little", signed=True)
    flow = analyse(Bytes(x86((CALL, OTHER), mov_rbp_rax, (CALL, OTHER), jmp_back)))
    first = at_call(flow, 0)["rbp"][0]
    assert first == ("phi", BASE, "rbp")
    assert at_call(flow, 1)["rbp"] == (("call", BASE, "rax", OTHER), 0, 64)


def test_a_slot_is_forgotten_when_its_frame_is_given_away() -> None:
    spill = b"\x48\x89\x7c\x24\x08"  # mov [rsp+8], rdi
    lea_rsi_rsp = b"\x48\x8d\x34\x24"
    kept = analyse(Bytes(x86(SUB_RSP_24, spill, (CALL, OTHER), ADD_RSP_24, RET)))
    state = kept.before(BASE + 14)
    assert state is not None
    assert state.slots[-16][1] == RDI
    lost = analyse(Bytes(x86(SUB_RSP_24, spill, lea_rsi_rsp, (CALL, OTHER), ADD_RSP_24, RET)))
    state = lost.before(BASE + 18)
    assert state is not None
    assert -16 not in state.slots


def test_an_argument_below_what_is_given_away_is_kept_and_a_local_is_not() -> None:
    spill = b"\x48\x89\x3c\x24"  # mov [rsp], rdi
    local = b"\x48\x89\x44\x24\x08"  # mov [rsp+8], rax
    lea_rsi_rsp_16 = b"\x48\x8d\x74\x24\x10"
    load = b"\x48\x8b\x06"  # mov rax, [rsi]: a value of its own
    code = x86(SUB_RSP_24, load, spill, local, lea_rsi_rsp_16, (CALL, OTHER), ADD_RSP_24, RET)
    state = analyse(Bytes(code)).before(BASE + len(code) - 5)
    assert state is not None
    assert state.slots == {-24: (8, RDI, False)}


def test_slots_that_differ_by_the_path_hold_a_value_of_their_own() -> None:
    store_rdi = b"\x48\x89\x3c\x24"
    store_rsi = b"\x48\x89\x34\x24"
    je_over = b"\x74\x04"
    code = x86(SUB_RSP_24, store_rdi, TEST_RDI_RDI, je_over, store_rsi, b"\x90", ADD_RSP_24, RET)
    state = analyse(Bytes(code)).before(BASE + 17)
    assert state is not None
    assert state.slots[-24][1] == (("phi", BASE + 17, -24), 0, 64)


def test_loads_from_one_place_on_two_paths_are_a_load_from_it() -> None:
    load = b"\x48\x8b\x47\x08"  # mov rax, [rdi+8]
    je_other = b"\x74\x06"
    code = x86(TEST_RDI_RDI, je_other, load, b"\xeb\x04", load, b"\x90", RET)
    state = analyse(Bytes(code)).before(BASE + 15)
    assert state is not None
    place: Value = (("entry", "rdi"), 8, 64)
    assert state.regs["rax"] == (("load", BASE + 15, "rax", place, 8), 0, 64)


def test_saved_registers_outlive_a_frame_that_is_given_away() -> None:
    lea_rdi_rsp = b"\x48\x8d\x3c\x24"
    code = x86(PUSH_RBX, SUB_RSP_24, lea_rdi_rsp, (CALL, OTHER), ADD_RSP_24, POP_RBX, RET)
    state = analyse(Bytes(code)).before(BASE + 14)
    assert state is not None
    assert state.slots == {-8: (8, (("entry", "rbx"), 0, 64), True)}


def test_a_store_through_an_index_into_the_frame_is_seen() -> None:
    spill = b"\x48\x89\x7c\x24\x08"
    mov_array = b"\x48\x89\x04\xcc"  # mov [rsp+rcx*8], rax
    state = analyse(Bytes(x86(SUB_RSP_24, spill, mov_array, ADD_RSP_24, RET))).before(BASE + 13)
    assert state is not None
    assert state.escaped < NOTHING
    assert not state.slots


def spilled(*parts: bytes | tuple[bytes, int]) -> bool:
    """Whether an argument that was kept at the frame's bottom is there behind the last call."""
    keep = bytes.fromhex("4883ec48 48893c24")  # sub rsp, 0x48; mov [rsp], rdi
    flow = analyse(Bytes(x86(keep, *parts, (CALL, OTHER), bytes.fromhex("4883c448"), RET)))
    assert flow.problem == ""
    call = max(a for a, i in flow.insns.items() if i.text[0] == "call")
    state = flow.before(call)
    assert state is not None
    flow.execute(state, flow.insns[call])
    return state.slots.get(-0x48, (0, None))[1] == RDI


CLEAR = bytes.fromhex("31c0 89c2 83c020 48c744141800000000 83f840 72ed")
"""L: mov edx, eax; add eax, 32; mov qword ptr [rsp + rdx + 0x18], 0; cmp eax, 64; jb L"""


@pytest.mark.parametrize(
    ("code", "kept"),
    [
        pytest.param(CLEAR, True, id="a loop clears a struct"),
        pytest.param(CLEAR.replace(b"\x89\xc2", b"\x48\x63\xd0"), False, id="a signed index"),
        pytest.param(
            bytes.fromhex("39d6 48c744141800000000"), False, id="half the index is only compared"
        ),
        pytest.param(
            bytes.fromhex("8b16 39d6 4883c201 48c744d41800000000"), True, id="it counts up"
        ),
        pytest.param(bytes.fromhex("8b16 4883ea01 48c744d41800000000"), False, id="it counts down"),
        pytest.param(
            bytes.fromhex("0fb616 4889542408 31d2 488b542408 48c744d42000000000"),
            True,
            id="kept in the frame meanwhile",
        ),
        pytest.param(
            bytes.fromhex("4889542408 31d2 488b542408 48c744d42000000000"),
            False,
            id="kept, and of any sign",
        ),
        pytest.param(bytes.fromhex("488d5c2420 480f44f3"), True, id="cmov of an address"),
        pytest.param(bytes.fromhex("8b16 488d5c2420 488d1cd3"), True, id="an element's address"),
        pytest.param(bytes.fromhex("488d5c2420 488d1cd3"), False, id="with a signed index"),
        pytest.param(bytes.fromhex("488d1c24 480f44f3"), False, id="cmov of the slot's address"),
    ],
)
def test_a_slot_below_what_may_be_written_is_kept(code: bytes, kept: bool) -> None:
    assert spilled(code) is kept


def test_a_frame_that_is_aligned_keeps_its_slots_beside_those_before() -> None:
    # push rbp; mov rbp, rsp; push rbx; and rsp, -16; sub rsp, 0x20; mov [rsp+8], rdi;
    # lea rdi, [rsp+0x10]; call; mov rbx, [rbp-8]; leave; ret
    start = bytes.fromhex("55 4889e5 53 4883e4f0 4883ec20 48897c2408 488d7c2410")
    flow = analyse(Bytes(x86(start, (CALL, OTHER), bytes.fromhex("488b5df8 c9 c3"))))
    assert flow.problem == ""
    call = next(a for a, i in flow.insns.items() if i.text[0] == "call")
    state = flow.before(call)
    assert state is not None
    flow.execute(state, flow.insns[call])
    far = {offset for offset in state.slots if is_aligned(offset)}
    assert [state.slots[offset][1] for offset in far] == [RDI]
    assert state.slots[-16][1] == (("entry", "rbx"), 0, 64)
    env = Env()
    env.learn((SP, 0, 64), 0x1008, "")
    env.learn(state.regs["rsp"], 0xFC0, "")  # 0xff8, aligned to 0xff0, less 0x30
    at = far.pop()
    assert env.number((SP, at, 64)) == 0xFC8
    assert env.number((SP, -16 % (1 << 64), 64)) == 0xFF8
    assert env.consistent


def test_a_callee_may_write_to_its_arguments_on_the_stack() -> None:
    push_rbx_pop = x86(PUSH_RBX, MOV_RBX_RDI, b"\x53", (CALL, OTHER), b"\x58", POP_RBX, RET)
    for words, there in ((0, True), (1, False), (None, False)):
        state = analyse(Bytes(push_rbx_pop, words=words)).before(BASE + 10)
        assert state is not None
        assert (-16 in state.slots) is there
        assert -8 in state.slots


def test_arguments_on_the_stack_are_followed() -> None:
    mov_rbx_arg = b"\x48\x8b\x5c\x24\x10"  # mov rbx, [rsp+16]: behind the push, the first
    flow = analyse(Bytes(x86(PUSH_RBX, mov_rbx_arg, (CALL, OTHER), RET)), stack_arguments=1)
    assert at_call(flow)["rbx"] == (("stack", 8), 0, 64)


def test_a_cold_part_is_followed() -> None:
    je_cold = b"\x0f\x84" + to(COLD, BASE + 1 + 3 + 3 + 6)
    code = x86(PUSH_RBX, MOV_RBX_RDI, TEST_RDI_RDI, je_cold, POP_RBX, RET)
    cold = b"\xe8" + to(OTHER, COLD + 5) + b"\xe9" + to(BASE + 13, COLD + 10)
    flow = analyse(Bytes(code, cold))
    assert at_call(flow)["rbx"] == RDI


def test_a_call_that_does_not_return_ends_a_path() -> None:
    je_over = b"\x74\x08"
    code = x86(PUSH_RBX, MOV_RBX_RDI, TEST_RDI_RDI, je_over, b"\x48\x31\xdb", (CALL, STOPS))
    code = x86(code, (CALL, OTHER), RET)
    flow = analyse(Bytes(code))
    assert at_call(flow, 1)["rbx"] == RDI


def test_an_exception_leads_to_its_fixup_with_unknown_registers() -> None:
    from btfdbg.frames.code import Fixup

    load = b"\x48\x8b\x06"  # mov rax, [rsi]
    mov_rbx_rdi = MOV_RBX_RDI
    code = x86(PUSH_RBX, load, mov_rbx_rdi, (CALL, OTHER), RET)
    fixup = {BASE + 1: Fixup(BASE + 7, ("rdx",))}
    assert at_call(analyse(Bytes(code, fixups=fixup)))["rbx"][0] == ("phi", BASE + 7, "rbx")


def test_a_static_branch_may_have_gone_either_way() -> None:
    nop5 = b"\x0f\x1f\x44\x00\x00"
    code = x86(PUSH_RBX, nop5, MOV_RBX_RDI, (CALL, OTHER), RET)
    assert at_call(analyse(Bytes(code)))["rbx"] == RDI
    both = analyse(Bytes(code, branches={BASE + 1: BASE + 9}))
    assert at_call(both)["rbx"][0] == ("phi", BASE + 9, "rbx")
    patched = x86(PUSH_RBX, (JMP, BASE + 9), MOV_RBX_RDI, (CALL, OTHER), RET)
    both = analyse(Bytes(patched, branches={BASE + 1: BASE + 9}))
    assert at_call(both)["rbx"][0] == ("phi", BASE + 9, "rbx")


@pytest.mark.parametrize(
    ("code", "why"),
    [
        (x86(PUSH_RBX, INT3, MOV_RBX_RDI, RET), "probed"),
        (x86(PUSH_RBX, b"\x0f\x0b", INT3, MOV_RBX_RDI, RET), "probed"),  # behind a warning
        (x86(PUSH_RBX, (JMP, OTHER + 3)), "patched"),
        (x86(PUSH_RBX, b"\xff\xe0"), "table"),  # jmp rax with a frame
        (x86(b"\xff\x24\xc5\x00\x00\x00\x81"), "table"),  # jmp [rax*8 + table]
        (x86(PUSH_RBX, b"\x06\x06\x06"), "no instruction"),  # not in 64-bit code
        (x86(PUSH_RBX, (CALL, BASE + 6), RET), "calls into itself"),
        (b"\x90" * (65 << 10), "larger than 64 KiB"),
    ],
)
def test_doubtful_code_is_refused(code: bytes, why: str) -> None:
    flow = analyse(Bytes(code))
    assert why in flow.problem
    assert flow.before(BASE) is None


def test_padding_behind_a_call_that_does_not_return_is_no_probe() -> None:
    flow = analyse(Bytes(x86(PUSH_RBX, MOV_RBX_RDI, (CALL, OTHER), INT3 * 4)))
    assert flow.problem == ""
    assert at_call(flow)["rbx"] == RDI


def test_padding_behind_a_trap_at_the_end_is_no_probe() -> None:
    flow = analyse(Bytes(x86(PUSH_RBX, MOV_RBX_RDI, (CALL, OTHER), b"\x0f\x0b", INT3 * 5)))
    assert flow.problem == ""
    assert at_call(flow)["rbx"] == RDI


def test_an_indirect_tail_call_is_no_table() -> None:
    mov_rax_rdi_8 = b"\x48\x8b\x47\x08"
    assert analyse(Bytes(x86(mov_rax_rdi_8, b"\xff\xe0"))).problem == ""


def test_a_large_function_ends_by_its_steps() -> None:
    # A ladder of conditional jumps back to the start: many states, bounded work.
    rung = b"\x48\xff\xc3\x0f\x85"
    code = b""
    for _ in range(5000):
        code += rung + to(BASE, BASE + len(code) + len(rung) + 4)
    flow = analyse(Bytes(code + RET))
    assert flow.problem in ("", "it takes too many steps")
