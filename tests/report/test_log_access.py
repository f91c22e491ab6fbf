"""Which register held the bad address, told from a log alone; and where nothing is told."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from btfdbg.report import events
from btfdbg.report.logs.log_report import access_text
from btfdbg.report.logs.registers import access_of, address_in

pytest.importorskip("capstone")

X86 = """\
{message}
Oops: 0002 [#1] PREEMPT SMP NOPTI
CPU: 0 UID: 0 PID: 575 Comm: sh Not tainted 6.12.0-amd64 #1
RIP: 0010:demo+0x9/0x20 [demo]
Code: 90 90 {code} 00 00 00 c3 cc cc cc cc
RSP: 0018:ff1c0000003b7d68 EFLAGS: 00010246
RAX: dffffc0000000000 RBX: ff11000001234500 RCX: 0000000000000003
RDX: 0000000000000004 RSI: ff11000001234567 RDI: 0000000000000000
RBP: 6b6b6b6b6b6b6b6b R08: 0000000000000000 R09: 0000000000000000
R10: 0000000000000023 R11: 0000000000000000 R12: dead000000000100
R13: 0000000000000000 R14: 0000000000000000 R15: 0000000000000000
FS:  0000000000000000(0000) GS:ff1100003ec00000(0000) knlGS:0000000000000000
CR2: 0000000000000010 CR3: 0000000003a4e000 CR4: 0000000000751ef0
Call Trace:
 <TASK>
 outer+0xe/0x20 [demo]
RIP: 0033:0x4ae3f7
Code: <48> 8b 07 c3
RSP: 002b:00007ffc2a2e2b48 EFLAGS: 00000246 ORIG_RAX: 0000000000000001
RAX: ffffffffffffffda RBX: 0000000000000001 RCX: 00000000004ae3f7
RDX: 0000000000000001 RSI: 0000000000000001 RDI: 0000000000000001
 </TASK>
"""
NULL = "BUG: kernel NULL pointer dereference, address: 0000000000000010"
GPF = "general protection fault: 0000 [#1] SMP"

# Header, code, what is said; "" for nothing.
CASES = (
    (NULL, "<c7> 47 10 07",
     "mov dword ptr [rdi + 0x10], 7: writes 4 bytes at rdi+0x10 = 0x10; rdi is NULL"),
    # the member's last byte is the one that the log names
    ("BUG: kernel NULL pointer dereference, address: 0000000000000017", "<48> 8b 47 10",
     "mov rax, qword ptr [rdi + 0x10]: reads 8 bytes at rdi+0x10 = 0x10; rdi is NULL"),
    # another address than the operand's: the registers or the code are not this fault's
    ("BUG: kernel NULL pointer dereference, address: 0000000000000018", "<c7> 47 10 07", ""),
    # a pointer and a small index; then two that may both be the pointer
    ("BUG: unable to handle page fault for address: ff11000001234518", "<48> 8b 04 cb",
     "mov rax, qword ptr [rbx + rcx*8]: reads 8 bytes at rbx+rcx*8 = 0xff11000001234518; "
     "rbx is 0xff11000001234500"),
    ("BUG: unable to handle page fault for address: fe22000002468a67", "<48> 8b 04 33",
     "mov rax, qword ptr [rbx + rsi]: reads 8 bytes at rbx+rsi = 0xfe22000002468a67"),
    # of a copy's two operands the one that was not there
    ("BUG: unable to handle page fault for address: ff11000001234567", "<f3> a4",
     "rep movsb byte ptr [rdi], byte ptr [rsi]: reads 1 byte at rsi = 0xff11000001234567; "
     "rsi is 0xff11000001234567"),
    # no address is named: the operand that is no canonical address
    (GPF, "<48> 8b 45 08",
     "mov rax, qword ptr [rbp + 8]: reads 8 bytes at rbp+0x8 = 0x6b6b6b6b6b6b6b73; "
     "rbp is 0x6b6b6b6b6b6b6b6b, slab poison: freed memory"),
    (GPF, "<49> 8b 04 24",
     "mov rax, qword ptr [r12]: reads 8 bytes at r12 = 0xdead000000000100; "
     "r12 is 0xdead000000000100, LIST_POISON1: a list entry that was removed"),
    (GPF, "<48> 8b 03", ""),
    (GPF, "<0f> 30", ""),  # wrmsr: faults for other reasons
    # KASAN's shadow: the register that holds the address which is meant
    (GPF, "<80> 3c 02",
     "cmp byte ptr [rdx + rax], 0: reads 1 byte at rdx+rax = 0xdffffc0000000004, "
     "KASAN's shadow of 0x20; r10 is NULL+0x23"),
    # what the log does not have the base of
    (NULL, "<65> 48 8b 04 25 10", ""),
    (NULL, "<48> 8b 05 10", ""),
    (NULL, "c7 47 10 07", ""),
    (NULL, "<c7>", ""),
    ("BUG: unable to handle page fault for address: ffffffffc0000000", "Bad RIP value.", ""),
)  # fmt: skip


@pytest.mark.parametrize(("message", "code", "said"), CASES)
def test_access_on_x86(message: str, code: str, said: str) -> None:
    [event] = events(X86.format(message=message, code=code))
    assert access_text(event) == said


def test_registers_of_user_space_and_what_it_ran_are_left_alone() -> None:
    text = X86.format(message=NULL, code="<c7> 47 10 07")
    [event] = events(text)
    assert dict(event.registers)["rax"] == 0xDFFFFC0000000000
    without = "\n".join(line for line in text.splitlines() if "Code: 90" not in line)
    [event] = events(without)
    assert event.code == ""
    assert access_of(event) is None


def test_old_kernels_print_the_code_behind_user_spaces_registers() -> None:
    lines = X86.format(message=NULL, code="<c7> 47 10 07").splitlines()
    code = next(line for line in lines if "Code: 90" in line)
    lines = [line for line in lines if "Code:" not in line]
    [event] = events("\n".join([*lines, code, ""]))
    assert access_text(event).endswith("rdi is NULL")


ARM64 = """\
Unable to handle kernel {what} at virtual address {address}
Mem abort info:
  ESR = 0x0000000096000044
Internal error: Oops: 0000000096000044 [#1] SMP
CPU: 1 PID: 31 Comm: demo Not tainted 6.6.0 #3
pstate: 60400005 (nZCv daif +PAN -UAO -TCO -DIT -SSBS BTYPE=--)
pc : demo+0x40/0xd0
lr : outer+0x24/0x80
sp : ffff800080c3bd60
x29: ffff800080c3bd60 x28: ffff0000c0a50000 x27: 0000000000000000
x2 : dfff800000000000 x1 : 0000000000000003 x0 : {x0}
Call trace:
 demo+0x40/0xd0
 outer+0x24/0x80
Code: d2802400 f9400021 ({word})
---[ end trace 0000000000000000 ]---
"""


@pytest.mark.parametrize(
    ("address", "x0", "word", "said"),
    [
        ("dead000000000108", "dead000000000100", "f9400401",
         "ldr x1, [x0, #8]: reads 8 bytes at x0+0x8 = 0xdead000000000108; "
         "x0 is 0xdead000000000100, LIST_POISON1: a list entry that was removed"),
        ("0000000000000010", "0000000000000000", "b900101f",
         "str wzr, [x0, #0x10]: writes 4 bytes at x0+0x10 = 0x10; x0 is NULL"),
        # a tag in the pointer's top byte, which the log's address has not
        ("ffff0000c0a51008", "f5ff0000c0a51000", "f9400401",
         "ldr x1, [x0, #8]: reads 8 bytes at x0+0x8 = 0xf5ff0000c0a51008; "
         "x0 is 0xf5ff0000c0a51000"),
        ("dfff800000000003", "000000000000001c", "38e16841",
         "ldrsb w1, [x2, x1]: reads 1 byte at x2+x1 = 0xdfff800000000003, "
         "KASAN's shadow of 0x18; x0 is NULL+0x1c"),
        ("0000000000000018", "0000000000000000", "b900101f", ""),
    ],
)  # fmt: skip
def test_access_on_arm64(address: str, x0: str, word: str, said: str) -> None:
    what = "NULL pointer dereference" if address.startswith("00000") else "paging request"
    [event] = events(ARM64.format(what=what, address=address, x0=x0, word=word))
    assert access_text(event) == said


_REGISTERS = st.integers(0, (1 << 64) - 1) | st.sampled_from([0, 0xDFFFFC0000000000, 1 << 63])

# mov, add, call, movsb before an operand; or anything
_OPCODES = [b"\x48\x8b", b"\x89", b"\x01", b"\xff", b"\xf3\xa4", b""]
_CODE = st.builds(bytes.__add__, st.sampled_from(_OPCODES), st.binary(min_size=1, max_size=14))


@settings(max_examples=200, deadline=None)
@given(code=_CODE, value=_REGISTERS, near=st.integers(-64, 64))
def test_any_code_and_registers_are_taken_and_never_another_address_is_told(
    code: bytes, value: int, near: int
) -> None:
    said = (value + near) % (1 << 64)
    marked = f"<{code[:1].hex()}> " + " ".join(f"{byte:02x}" for byte in code[1:])
    message = f"BUG: unable to handle page fault for address: {said:016x}"
    first, _, rest = X86.format(message=message, code=marked).partition("\n")
    rest = rest.replace("0000000000000000", f"{value:016x}")
    [event] = [one for one in events(f"{first}\n{rest}") if one.line == 1]
    found = access_of(event)
    assert found is None or 0 <= said - found.address < max(found.size, 1)
    word = code[:4].ljust(4, b"\0")[::-1].hex()
    text = ARM64.format(
        what="paging request", address=f"{said:016x}", x0=f"{value:016x}", word=word
    )
    [event] = [one for one in events(text) if one.line == 1]
    found = access_of(event)
    mask = (1 << 56) - 1
    assert found is None or 0 <= (said & mask) - (found.address & mask) < max(found.size, 1)
    assert access_text(event) == ("" if found is None else str(found))


def test_address_of_a_message() -> None:
    assert address_in("Unable to handle kernel paging request at virtual address dead0000") == (
        0xDEAD0000
    )
    assert address_in("BUG: unable to handle kernel NULL pointer dereference at 00000010") == 16
    assert address_in("general protection fault: 0000 [#1] SMP") is None
    said = "general protection fault, probably for non-canonical address 0xdffffc0000000004: 0000"
    assert address_in(said) == 0xDFFFFC0000000004
