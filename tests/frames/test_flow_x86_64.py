"""What registers and slots of small functions hold, by code written down byte by byte."""

from __future__ import annotations

import pytest

from btfdbg.frames.flow import FunctionFlow
from btfdbg.frames.state import NOTHING, Value
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
