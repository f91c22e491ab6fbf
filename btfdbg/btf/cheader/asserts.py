"""Static assertions for a C header: that a compiler lays types out as the BTF says.

Owns the proof of a dump. Every size of a struct, union, enum or typedef and the offset
of every member that is no bit-field is asserted, those of unnamed types through the
members that hold them (``__typeof__(((struct s *)0)->list[0])``). C has no constant
expression for where a bit-field is, so :func:`bitfield_program` returns a program that
sets each and looks at the bytes.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from btfdbg.btf.cheader.c_layout import WorkBudget
from btfdbg.btf.layouts import (
    ARRAY,
    CONST,
    ENUM,
    ENUM64,
    FLOAT,
    MAX_CHAIN,
    PTR,
    RESTRICT,
    STRUCT,
    TYPE_TAG,
    TYPEDEF,
    UNION,
    VOLATILE,
)

if TYPE_CHECKING:
    from btfdbg.btf.cheader.definitions import CDump

# Members of one BTF, those of unnamed members once more for each that holds them.
_LIMIT = 20_000_000
_QUALIFIERS = frozenset({CONST, VOLATILE, RESTRICT, TYPE_TAG})
_VA_LISTS = frozenset({"__builtin_va_list", "__gnuc_va_list"})
_COMPOSITES = frozenset({STRUCT, UNION})

# What a bit-field is called and what it is part of: type, member, first bit, bits.
_BitField = tuple[str, str, int, int]


def _of_target(dump: CDump) -> set[int]:
    """
    Return the types whose size is the target's own: ``va_list``, and what has one by value.

    On x86-64 that is 24 bytes, on arm64 32, on BPF 8; ``long double`` likewise.
    """
    types = dump.types
    names = types.names
    found = {
        type_id
        for type_id, kind in enumerate(types.kind)
        if (kind == TYPEDEF and names[types.record[type_id][0]] in _VA_LISTS)
        or (kind == FLOAT and names[types.record[type_id][0]] == "long double")
    }
    above = set(found)
    while above:
        below, above = above, set()
        for type_id, kind in enumerate(types.kind):
            if type_id in found:
                continue
            if kind == TYPEDEF or kind in _QUALIFIERS:
                has = types.record[type_id][2] in below
            elif kind == ARRAY:
                has = types.record[type_id][3] in below
            else:
                has = kind in _COMPOSITES and not below.isdisjoint(types.below[type_id])
            if has:
                above.add(type_id)
        found |= above
    return found


class _Prover:
    def __init__(self, dump: CDump) -> None:
        self.types = dump.types
        self.decl = dump.decl
        self.settled = dump.settled
        self.bitfields: list[_BitField] = []
        self.steps = WorkBudget(_LIMIT)
        # Unnamed types that were proved already, wherever else they are used.
        self.proved: set[int] = set()
        self.of_target = _of_target(dump)

    def defined(self) -> Iterator[tuple[str, int]]:
        """Yield the C name and the id of every named type that was written."""
        types = self.types
        for type_id, kind in enumerate(types.kind):
            if not self.settled[type_id] or not types.record[type_id][0]:
                continue
            if type_id in self.of_target:
                continue
            if kind in _COMPOSITES:
                yield self.decl.tag(type_id), type_id
            elif kind in (ENUM, ENUM64) and len(types.record[type_id]) > 3:
                yield f"enum {self.decl.tag_name(type_id)}", type_id
            elif kind == TYPEDEF:
                yield self.decl.ident_name(type_id), type_id

    def prove(self, expression: str, type_id: int, depth: int = 0) -> Iterator[str]:
        """Yield the assertions about a type, given how C can name it."""
        types = self.types
        kind = types.kind[type_id]
        if type_id in self.of_target:
            return
        if kind in _COMPOSITES:
            yield f'_Static_assert(sizeof({expression}) == {types.record[type_id][2]}, "");\n'
            if depth < 16:
                yield from self._members(expression, type_id, 0, depth)
        elif kind in (ENUM, ENUM64):
            yield f'_Static_assert(sizeof({expression}) == {types.record[type_id][2]}, "");\n'
        elif kind == TYPEDEF:
            size = types.size_of(type_id)
            if size and self._sized(type_id):
                yield f'_Static_assert(sizeof({expression}) == {size}, "");\n'
            yield from self._below(f"(({expression} *)0)[0]", types.record[type_id][2], depth)

    def _sized(self, type_id: int) -> bool:
        types = self.types
        at = type_id
        for _ in range(MAX_CHAIN):
            kind = types.kind[at]
            if kind in _QUALIFIERS or kind == TYPEDEF:
                at = types.record[at][2]
            elif kind == ARRAY:
                at = types.record[at][3]
            elif kind in (ENUM, ENUM64):
                return len(types.record[at]) > 3  # else it is declared only
            else:
                return kind == PTR or types.size[at] >= 0
        return False

    def _members(self, expression: str, type_id: int, base: int, depth: int) -> Iterator[str]:
        if type_id in self.decl.opaque:
            return
        types = self.types
        record = types.record[type_id]
        kflag = record[1] > 0x7FFFFFFF
        names = self.decl.names
        for name_off, member, offset in zip(record[3::3], record[4::3], record[5::3], strict=True):
            self.steps.take(type_id)
            bits = 0
            if kflag:
                bits = offset >> 24
                offset &= 0xFFFFFF
            offset += base
            name = names[name_off]
            if bits:
                if name:
                    self.bitfields.append((expression, name, offset, bits))
            elif name:
                yield (
                    f"_Static_assert(__builtin_offsetof({expression}, {name}) == "
                    f'{offset // 8}, "");\n'
                )
                yield from self._below(f"(({expression} *)0)->{name}", member, depth)
            else:
                at = self._unnamed(member)
                if types.kind[at] in _COMPOSITES and depth < 16:
                    yield from self._members(expression, at, offset, depth + 1)

    def _unnamed(self, type_id: int) -> int:
        """Return the type whose members an unnamed member brings in."""
        types = self.types
        at = type_id
        for _ in range(MAX_CHAIN):
            if types.kind[at] not in _QUALIFIERS and types.kind[at] != TYPEDEF:
                break
            at = types.record[at][2]
        return at

    def _through(self, type_id: int) -> tuple[int, int]:
        """Return what is below qualifiers, arrays and pointers, and how many of the latter."""
        types = self.types
        at = type_id
        steps = 0
        for _ in range(MAX_CHAIN):
            kind = types.kind[at]
            if kind in _QUALIFIERS:
                at = types.record[at][2]
            elif kind == PTR:
                at = types.record[at][2]
                steps += 1
            elif kind == ARRAY:
                at = types.record[at][3]
                steps += 1
            else:
                break
        return at, steps

    def _below(self, value: str, type_id: int, depth: int) -> Iterator[str]:
        """Yield the assertions about an unnamed type that a value's type leads to."""
        at, steps = self._through(type_id)
        unnamed = not self.types.record[at][0]
        if unnamed and self.types.kind[at] in (STRUCT, UNION, ENUM, ENUM64) and depth < 16:
            if at in self.proved:
                return
            self.proved.add(at)
            yield from self.prove(f"__typeof__({value}{'[0]' * steps})", at, depth + 1)


def assertions(dump: CDump) -> Iterator[str]:
    """
    Return static assertions about everything that a dump has defined.

    :param dump: A dump that was written, with the names it gave.
    """
    prover = _Prover(dump)
    for expression, type_id in prover.defined():
        yield "".join(prover.prove(expression, type_id))


_CHECK = """
#include <stdio.h>
#include <string.h>

static int failed, checked;
static unsigned char buffer[1 << 24];

static void check(const char *what, unsigned long size, unsigned long off, unsigned long bits)
{
	unsigned long i;

	checked++;
	for (i = 0; i < size * 8; i++) {
		int set = buffer[i / 8] >> (i % 8) & 1;

		if (set != (i >= off && i < off + bits)) {
			failed++;
			printf("%s\\n", what);
			return;
		}
	}
}

#define B(type, member, off, bits) do { \\
	memset(buffer, 0, sizeof(type)); \\
	((type *)buffer)->member = -1; \\
	check(#type " " #member, sizeof(type), off, bits); \\
} while (0)

"""


def bitfield_program(dump: CDump, header: str) -> Iterator[str]:
    """
    Return a C program that prints every bit-field which is not where the BTF has it.

    Its last line is the number of bit-fields checked and of those that failed; little
    endian machines only.

    :param header: What to ``#include`` for the types.
    """
    prover = _Prover(dump)
    for expression, type_id in prover.defined():
        for _ in prover.prove(expression, type_id):
            pass
    # The kernel's types first: names that its header and stdio.h share are no types.
    yield f'#include "{header}"\n'
    yield _CHECK.replace(
        "#include <stdio.h>\n#include <string.h>\n",
        ("int printf(const char *, ...);\nvoid *memset(void *, int, __SIZE_TYPE__);\n"),
    )
    functions = 0
    for at in range(0, len(prover.bitfields), 200):
        yield f"static void part{functions}(void)\n{{\n"
        for expression, name, offset, bits in prover.bitfields[at : at + 200]:
            yield f"\tB({expression}, {name}, {offset}UL, {bits}UL);\n"
        yield "}\n\n"
        functions += 1
    yield "int main(void)\n{\n"
    for number in range(functions):
        yield f"\tpart{number}();\n"
    yield '\tprintf("%d %d\\n", checked, failed);\n\treturn failed != 0;\n}\n'
