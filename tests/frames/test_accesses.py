"""How many bytes code accesses at an address, read off single instructions."""

from __future__ import annotations

import random
import struct

import pytest

from btfdbg.frames.accesses import Accesses, AccessReader
from btfdbg.frames.reference_index import ReferenceIndex
from btfdbg.frames.references import references
from tests.frames.code import adrp

pytest.importorskip("capstone")

TEXT = 0xFFFF_FFFF_8100_0000
DATA = 0xFFFF_FFFF_8200_0000
END = DATA + 0x10000
LOW = DATA & 0xFFFF_FFFF
RETURN = b"\xc3"


def reader(text: bytes, machine: str = "x86_64", start: int = TEXT) -> AccessReader:
    def read(address: int, size: int) -> bytes | None:
        at = address - start
        return text[at : at + size] if at >= 0 and at + size <= len(text) else None

    whole = (start, start + len(text))
    return AccessReader.of_machine(
        machine, read, lambda: [whole], lambda _: whole, range(DATA, END)
    )


def told(*code: bytes, room: int = 8) -> Accesses | None:
    """What instructions, each given without its distance to the variable, do there."""
    text = b"".join(code) + RETURN
    return reader(text).of(DATA, room)


def rel(opcode: bytes, before: int, behind: bytes = b"", offset: int = 0) -> bytes:
    """An instruction with a distance from its end to the variable, after so many bytes of code."""
    end = TEXT + before + len(opcode) + 4 + len(behind)
    return opcode + struct.pack("<i", DATA + offset - end) + behind


@pytest.mark.parametrize(
    ("code", "size"),
    [
        (rel(b"\x8b\x05", 0), 4),  # mov eax, [x]
        (rel(b"\x48\x8b\x05", 0), 8),  # mov rax, [x]
        (rel(b"\x0f\xb6\x05", 0), 1),  # movzx eax, byte [x]
        (rel(b"\x80\x3d", 0, b"\x00"), 1),  # cmp byte [x], 0
        (rel(b"\x83\x3d", 0, b"\x00"), 4),  # cmp dword [x], 0
        (rel(b"\xc7\x05", 0, b"\x01\x00\x00\x00"), 4),  # mov dword [x], 1
        (b"\x8b\x04\x25" + struct.pack("<I", LOW), 4),  # mov eax, [absolute]
    ],
)
def test_an_access_has_the_size_of_its_operand(code: bytes, size: int) -> None:
    assert told(code) == Accesses(frozenset((size,)))


def test_bits_and_counts_of_shifts_say_nothing_of_the_whole() -> None:
    tests = told(rel(b"\xf6\x05", 0, b"\x01"))  # test byte [x], 1
    assert tests == Accesses(frozenset(), frozenset((1,)))
    shift = told(rel(b"\x8a\x0d", 0))  # mov cl, [x]
    assert shift == Accesses(frozenset(), frozenset((1,)))


def test_what_is_added_in_one_step_is_told_from_what_is_not() -> None:
    plain = told(rel(b"\xff\x05", 0))  # inc dword [x]
    assert plain is not None
    assert (plain.is_added, plain.is_counted) == (True, False)
    locked = told(rel(b"\xf0\xff\x05", 0))
    assert locked is not None
    assert (locked.is_added, locked.is_counted) == (False, True)
    # On a kernel with one CPU "lock" was replaced: neither is known.
    patched = told(rel(b"\x3e\xff\x05", 0))
    assert patched is not None
    assert (patched.is_added, patched.is_counted) == (False, False)
    read = told(rel(b"\x03\x05", 0))  # add eax, [x]
    assert read is not None
    assert not read.is_added


LOAD = rel(b"\x48\x8b\x05", 0)  # mov rax, [x]


@pytest.mark.parametrize(
    ("behind", "followed"),
    [
        (b"\x48\x8b\x10", True),  # mov rdx, [rax]
        (b"\x48\x0f\xab\x38", True),  # bts [rax], rdi: closid_free_map
        (b"\x90\x48\x89\xc3\x8b\x53\x08", True),  # nop; mov rbx, rax; mov edx, [rbx + 8]
        (b"\x48\x8b\x14\x08", False),  # mov rdx, [rax + rcx]: an offset has an address there
        (b"\x48\x8d\x50\x08", False),  # lea rdx, [rax + 8]
        (b"\x48\x83\xc0\x08\x48\x8b\x10", False),  # add rax, 8; mov rdx, [rax]
        (b"\x31\xc0\x48\x8b\x10", False),  # xor eax, eax; mov rdx, [rax]
        (b"\xe8\0\0\0\0\x48\x8b\x10", False),  # a call
        (b"\x48\xf7\xe1\x48\x8b\x10", False),  # mul rcx; mov rdx, [rax]
        (b"\x0f\x1f\x00", False),  # nop [rax]
        (b"\x0f\x18\x08", False),  # prefetcht0 [rax]
        (b"\xc3\x48\x8b\x10", False),  # ret
    ],
)
def test_a_value_is_followed_where_memory_is_read_at_it(behind: bytes, followed: bool) -> None:
    found = told(LOAD, behind)
    assert found is not None
    assert found.sizes == frozenset((8,))
    assert found.is_followed is followed


def test_a_number_of_four_bytes_leads_nowhere() -> None:
    found = told(rel(b"\x8b\x05", 0), b"\x48\x8b\x10")
    assert found == Accesses(frozenset((4,)))


@pytest.mark.parametrize(
    ("between", "added"),
    [
        (b"\x48\x83\xc0\x01", True),  # add rax, 1: mnt_id_ctr
        (b"\x48\xff\xc0", True),  # inc rax
        (b"\x48\x8d\x40\x01", True),  # lea rax, [rax + 1]
        (b"\x48\x83\xc0\x01\x48\x89\xc2", True),  # add rax, 1; mov rdx, rax
        (b"", False),
        (b"\x48\x83\xf8\x01", False),  # cmp rax, 1
        (b"\xb8\1\0\0\0", False),  # mov eax, 1
        (b"\x48\x83\xc0\x01\xe8\0\0\0\0", False),  # a call
    ],
)
def test_what_is_read_and_put_back_with_something_added_is_added_to(
    between: bytes, added: bool
) -> None:
    store = rel(b"\x48\x89\x05", len(LOAD) + len(between))  # mov [x], rax
    found = told(LOAD, between, store)
    assert found is not None
    assert (found.is_added, found.sizes) == (added, frozenset((8,)))
    elsewhere = rel(b"\x48\x89\x05", len(LOAD) + len(between), offset=64)
    found = told(LOAD, between, elsewhere)
    assert found is not None
    assert not found.is_added


def test_an_index_and_what_lies_behind_are_said() -> None:
    indexed = told(b"\x8b\x04\x85" + struct.pack("<I", LOW))  # mov eax, [rax*4 + x]
    assert indexed is not None
    assert (indexed.sizes, indexed.is_indexed) == (frozenset(), True)
    behind = told(rel(b"\x8b\x05", 0, offset=4))
    assert behind is not None
    assert (behind.sizes, behind.behind) == (frozenset(), 8)


def test_an_address_that_is_only_taken_is_no_access() -> None:
    assert told(rel(b"\x48\x8d\x05", 0)) is None  # lea rax, [x]
    assert told(b"\x48\xc7\xc7" + struct.pack("<I", LOW)) is None  # mov rdi, x
    assert told(rel(b"\x8b\x05", 0, offset=8)) is None  # the next variable
    assert reader(RETURN).of(TEXT, 8) is None  # no data


def test_accesses_of_all_functions_are_taken_together() -> None:
    first = rel(b"\x8b\x05", 0)
    assert told(first, rel(b"\xc6\x05", len(first), b"\x01")) == Accesses(frozenset((1, 4)))


CALL = 0x40  # bytes from the text's start to the function that is called


def call(before: int) -> bytes:
    return b"\xe8" + struct.pack("<i", CALL - before - 5)


LEA = rel(b"\x48\x8d\x3d", 0)  # lea rdi, [x]


@pytest.mark.parametrize(
    ("between", "passed"),
    [
        (b"", True),
        (b"\x31\xf6\x39\xc7", True),  # xor esi, esi; cmp edi, eax
        (b"\x48\x89\xc7", False),  # mov rdi, rax
        (b"\x48\x83\xc7\x08", False),  # add rdi, 8
        (b"\xeb\x00", False),  # jmp
        (b"\xff\xd0", False),  # call rax
        (b"\x90" * 16, False),  # far away
    ],
)
def test_a_function_that_is_passed_the_address_is_told(between: bytes, passed: bool) -> None:
    found = told(LEA, between, call(len(LEA) + len(between)))
    assert (found is not None) is passed
    if found is not None:
        assert found == Accesses(frozenset(), passed=frozenset((TEXT + CALL,)))


def test_an_address_within_the_variable_is_passed_as_something_else() -> None:
    assert told(rel(b"\x48\x8d\x3d", 0, offset=4), call(len(LEA))) is None
    absolute = b"\x48\xc7\xc7" + struct.pack("<I", LOW)  # mov rdi, x
    found = told(absolute, call(len(absolute)))
    assert found is not None
    assert found.passed == {TEXT + CALL}
    loaded = told(rel(b"\x48\x8b\x3d", 0), call(len(LEA)))  # mov rdi, [x]
    assert loaded == Accesses(frozenset((8,)))


def test_arm64_passes_the_address_that_is_whole_at_the_call() -> None:
    start = DATA - 0x10_0000
    add, other = 0x9100_2000, 0x9100_2001  # add x0, x0, 8; add x1, x0, 8
    for second, passed in ((add, True), (other, False)):
        words = (adrp(0, DATA, start), second, 0x9400_0010, 0xD65F_03C0)
        found = reader(struct.pack("<4I", *words), "aarch64", start).of(DATA + 8, 8)
        assert (found is not None) is passed
        if found is not None:
            assert found.passed == {start + 8 + 0x40}


@pytest.mark.parametrize(
    ("access", "expected"),
    [
        (0xB940_0000 | 2 << 10, Accesses(frozenset((4,)))),  # ldr w0, [x0, 8]
        (0x3940_0000 | 8 << 10, Accesses(frozenset((1,)))),  # ldrb w0, [x0, 8]
        (0xF900_0001 | 1 << 10, Accesses(frozenset((8,)))),  # str x1, [x0, 8]
        (0xB940_0000 | 3 << 10, Accesses(frozenset(), behind=8)),  # ldr w0, [x0, 12]
        (0xB940_0000 | 4 << 10, None),
    ],
)
def test_arm64_adds_the_rest_of_an_address_to_its_page(
    access: int, expected: Accesses | None
) -> None:
    start = DATA - 0x10_0000
    text = struct.pack("<3I", adrp(0, DATA, start), access, 0xD65F_03C0)
    assert reader(text, "aarch64", start).of(DATA + 8, 8) == expected


def test_arm64_forgets_a_register_that_becomes_something_else() -> None:
    start = DATA - 0x10_0000
    load = 0xB940_0000 | 2 << 10
    moved = struct.pack("<4I", adrp(0, DATA, start), 0xAA01_03E0, load, 0xD65F_03C0)
    assert reader(moved, "aarch64", start).of(DATA + 8, 8) is None  # mov x0, x1
    called = struct.pack("<4I", adrp(0, DATA, start), 0x9400_0010, load, 0xD65F_03C0)
    assert reader(called, "aarch64", start).of(DATA + 8, 8) is None


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_the_index_names_the_places_that_a_search_finds(machine: str) -> None:
    rng = random.Random(7)
    text = bytearray(rng.randbytes(1 << 14))
    start = DATA - len(text) - 0x1000
    wanted = [DATA + 64 * n for n in range(40)]
    for number, target in enumerate(wanted):
        at = 320 * number + 5 * (machine == "x86_64")
        if machine == "x86_64":
            struct.pack_into("<i", text, at, target - (start + at + 4) - rng.choice((0, 1, 2, 4)))
        else:
            low = target & 0xFFF
            words = (adrp(3, target, start + at), 0xF940_0060 | low >> 3 << 10)
            struct.pack_into("<2I", text, at, *words)

    def read(address: int, size: int) -> bytes | None:
        at = address - start
        return bytes(text[at : at + size]) if at >= 0 and at + size <= len(text) else None

    texts = [(start, start + len(text))]
    index = ReferenceIndex(read, texts, machine, range(DATA, END))
    for target in wanted:
        found = set(references(read, texts, machine, target, 8))
        assert found
        assert found <= set(index.places(target, 8))


def test_many_questions_are_answered_as_one_is() -> None:
    code, before = b"", 0
    for number in range(60):
        one = rel((b"\x8b\x05", b"\x8a\x05")[number % 2], before, offset=8 * number)
        code, before = code + one, before + len(one)
    together = reader(code + RETURN)
    for number in range(60):
        at = DATA + 8 * number
        assert together.of(at, 8) == reader(code + RETURN).of(at, 8) is not None


def test_a_text_of_absurd_size_is_not_gone_through() -> None:
    asked: list[int] = []

    def read(address: int, size: int) -> bytes | None:
        asked.append(size)
        return None

    index = ReferenceIndex(read, [(TEXT, TEXT + (1 << 40))], "x86_64", range(DATA, END))
    assert list(index.places(DATA, 8)) == []
    assert not asked
    small = [(TEXT, TEXT + 4096)]
    assert list(ReferenceIndex(read, small, "x86_64", range(DATA, END)).places(DATA, 8)) == []
    assert sum(asked) == 4096


def test_what_is_expected_is_told_without_reading_the_text_again() -> None:
    text = rel(b"\x8b\x05", 0) + RETURN
    asked: list[int] = []

    def read(address: int, size: int) -> bytes | None:
        asked.append(address)
        at = address - TEXT
        return text[at : at + size] if at >= 0 and at + size <= len(text) else None

    whole = (TEXT, TEXT + len(text))
    code = AccessReader.of_machine(
        "x86_64", read, lambda: [whole], lambda _: whole, range(DATA, END)
    )
    code.expect([(DATA, 4), (DATA + 64, 4), (END, 4)])
    assert len(asked) == 1
    assert code.of(DATA + 64, 4) is None
    assert code.of(END, 4) is None
    assert len(asked) == 1
    assert code.of(DATA, 4) == Accesses(frozenset((4,)))
    assert code.of(DATA, 8) == code.of(DATA, 4)  # of another size, and not expected
