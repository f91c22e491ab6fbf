"""The faulting access against what the test module says it does, for one dump.

``python -m tests.frames.bad DUMP VMLINUX MODULE.ko [-v]``

The dump is of the scenario ``bad-accesses``: each of the threads called ``cf/NUMBER`` sleeps
inside the exception of its bad access. Truth is the module's own table (``struct cf_bad``), read
with drgn on DWARF: which member of which struct. What a member is called on the way there (from
a struct inside of it, or with the name of a part of it) is DWARF's to say.
"""

from __future__ import annotations

import argparse
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import drgn
from drgn.helpers.linux.pid import for_each_task

import btfdbg
from btfdbg.frames.access import Access, faulting_access
from tests.frames.truth import with_dwarf

# Rows whose bad pointer is one to these links of an entry.
LINKS = {
    "list_first": "link",
    "list_walk": "link",
    "list_global": "link",
    "list_noted": "link",
    "list_shared": "link",
    "hash_noted": "hash",
    "hash_walk": "hash",
    "tree_noted": "rb",
    "tree_root": "rb",
}
TABLES = ("cf_bad_members", "cf_bad_ways", "cf_bad_calls")
HOWS = ("read", "write", "execute", "change")


@dataclass(frozen=True, slots=True)
class Row:
    """
    What the module says of one of its threads.

    :ivar type: Tag of the struct that the source names.
    :ivar member: Path in it; "" if the source does not name one.
    :ivar pointer: How the source spells the pointer; "" if there are several ways.
    :ivar how: ``"read"``, ``"write"``, ``"execute"``, or ``"change"`` for either of the first two.
    :ivar bad: The pointer's value.
    """

    name: str
    type: str
    member: str
    pointer: str
    how: str
    bad: int


@dataclass(frozen=True, slots=True)
class Verdict:
    """One thread: ``"right"``, ``"wrong"``, ``"abstained"`` or ``"did not fault"``."""

    row: Row
    verdict: str
    access: Access | None
    why: str = ""

    def __str__(self) -> str:
        row = self.row
        truth = f"{row.how} of {row.type}.{row.member or '?'} by {row.pointer or '?'}"
        said = "" if self.access is None else f"\n      {self.access}"
        said += "" if self.access is None else f"\n      {self.access.instruction}"
        return f"{self.verdict:10} {row.name}: {truth}{f' ({self.why})' if self.why else ''}{said}"


def rows(truth: drgn.Program) -> list[Row]:
    """The module's tables."""
    found = []
    for table in TABLES:
        for entry in truth[table]:
            if not entry.name:
                break
            name, type_, member, pointer = (
                bytes(entry.member_(m).string_()).decode()
                for m in ("name", "type", "member", "pointer")
            )
            how = HOWS[int(entry.how)]
            found.append(Row(name, type_, member, pointer, how, int(entry.bad)))
    return found


def _walk(type_: drgn.Type, offset: int, path: str) -> Iterator[tuple[int, int, str, drgn.Type]]:
    """Bit offset, bits, path and type of everything in a type; members without names too."""
    while type_.kind == drgn.TypeKind.TYPEDEF:
        type_ = type_.type
    if type_.kind in (drgn.TypeKind.STRUCT, drgn.TypeKind.UNION):
        for member in type_.members or ():
            inner = f"{path}.{member.name}" if member.name and path else member.name or path
            size = member.bit_field_size
            if size is None:
                try:
                    size = 8 * drgn.sizeof(member.type)
                except TypeError:
                    continue
            yield offset + member.bit_offset, size, inner, member.type
            if member.bit_field_size is None:
                yield from _walk(member.type, offset + member.bit_offset, inner)
    elif type_.kind == drgn.TypeKind.ARRAY and type_.length and type_.length <= 64:
        size = 8 * drgn.sizeof(type_.type)
        for index in range(type_.length):
            yield offset + index * size, size, f"{path}[{index}]", type_.type
            yield from _walk(type_.type, offset + index * size, f"{path}[{index}]")


def _tag(type_: drgn.Type) -> str:
    name = type_.unqualified().type_name()
    return str(name).removeprefix("struct ").removeprefix("union ")


def _names(type_: drgn.Type) -> set[str]:
    """A type's tag, and the names of its typedefs."""
    names = {_tag(type_)}
    while type_.kind == drgn.TypeKind.TYPEDEF:
        type_ = type_.type
        names.add(_tag(type_))
    return names


def _flat(match: re.Match[str]) -> str:
    """``grid[1][2]`` of the module's ``u64 grid[2][4]``, as BTF has it."""
    return f"[{4 * int(match[1]) + int(match[2])}]"


def allowed(type_: drgn.Type, member: str, first: int | None) -> set[tuple[str, str]]:
    """
    What may be said: (struct's tag, path) for a member of a type.

    :param member: Its path; "" for whatever lies at an offset.
    :param first: That offset in bytes.
    """
    every = list(_walk(type_, 0, ""))
    if member:
        places = [(at, bits) for at, bits, path, _ in every if path == member]
        if not places:
            raise LookupError(f"{_tag(type_)} has no {member}")
        at, bits = places[0]
        paths = {
            path
            for o, b, path, _ in every
            if at <= o
            and o + b <= at + bits
            and (path == member or path.startswith((f"{member}.", f"{member}[")))
        }
        # A struct's first members are it, too, where the source names a scalar.
        paths.add(member)
    else:
        assert first is not None
        paths = {path for o, b, path, _ in every if o <= 8 * first < o + b}
    said = {(name, path) for name in _names(type_) for path in paths}
    # pahole makes one dimension of several.
    flat = {path: re.sub(r"\[(\d)\]\[(\d)\]", _flat, path) for path in paths}
    said |= {(name, path) for name in _names(type_) for path in flat.values()}
    for _, _, outer, inner in every:
        for path in paths:
            if path.startswith((f"{outer}.", f"{outer}[")):
                rest = path.removeprefix(outer).lstrip(".")
                said |= {(name, rest) for name in _names(inner)}
    return said


def judge(truth: drgn.Program, row: Row, access: Access | None) -> Verdict:
    """Compare what is said with what the module says."""
    if access is None:
        return Verdict(row, "abstained", None, "nothing is said")
    if row.how == "execute":
        wanted = row.pointer
        if access.kind != "execute" or (access.origin and access.origin != wanted):
            return Verdict(row, "wrong", access, "another call")
        return Verdict(row, "right" if access.origin else "abstained", access)
    if row.how not in (access.kind, "change"):
        return Verdict(row, "wrong", access, f"a {access.kind}")
    if access.type is None or not access.member:
        return Verdict(row, "abstained", access)
    type_ = truth.type(f"struct {row.type}")
    first = None if access.address is None else (access.address - row.bad) % (1 << 64)
    member = row.member
    if row.name in LINKS and first is not None:
        # The compiler may load the entry's next link first: what lies there is the truth.
        first = (first + drgn.offsetof(type_, LINKS[row.name])) % (1 << 64)
        at = drgn.offsetof(type_, member)
        member = member if at == first else ""
    good = allowed(type_, member, first)
    if any((name, access.member) in good for name in _names(access.type)):
        if row.pointer and access.origin and access.origin != row.pointer:
            inside = access.origin.startswith(f"&{row.pointer}->")
            return Verdict(row, "right", access, "" if inside else "ORIGIN")
        return Verdict(row, "right", access)
    common, brace, several = access.member.partition("{")
    names = {common + name for name in several.rstrip("}").split(", ")} if brace else set()
    if {path for _, path in good} & names:
        # Both registers of a pair are loaded: it is each of the two.
        both = access.size == 16 and len(names) == 2
        return Verdict(row, "right" if both else "one of some", access)
    return Verdict(row, "wrong", access, f"allowed are {sorted(good)[:6]}")


def measure(dump: Path, vmlinux: Path, module: Path) -> list[Verdict]:
    """Judge every thread of a dump."""
    truth = with_dwarf(dump, vmlinux, None)
    try:
        truth.load_debug_info([str(module)])
    except drgn.MissingDebugInfoError:
        pass
    prog = btfdbg.program_from_core_dump(dump)
    session = btfdbg.session(prog)
    tasks = {}
    for task in for_each_task(prog):
        match = re.fullmatch(rb"cf/(\d+)", task.comm.string_())
        if match:
            tasks[int(match[1])] = task
    verdicts = []
    for number, row in enumerate(rows(truth)):
        task = tasks.get(number)
        if task is None:
            verdicts.append(Verdict(row, "did not fault", None))
            continue
        access = faulting_access(session, prog.stack_trace(task))
        verdicts.append(judge(truth, row, access))
    return verdicts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("dump", type=Path)
    parser.add_argument("vmlinux", type=Path)
    parser.add_argument("module", type=Path)
    parser.add_argument("-v", "--verbose", action="store_true", help="those that are right, too")
    options = parser.parse_args()
    verdicts = measure(options.dump, options.vmlinux, options.module)
    for verdict in verdicts:
        if options.verbose or verdict.verdict != "right" or verdict.why:
            print(verdict)
    counts = Counter(v.verdict for v in verdicts)
    print(", ".join(f"{n} {name}" for name, n in counts.most_common()), f"of {len(verdicts)}")


if __name__ == "__main__":
    main()
