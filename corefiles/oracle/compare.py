"""
Hold a Program's view of a dump against what DWARF said about it.

Owns the comparison and the words for what differs. What DWARF alone can know is
told apart from mistakes: inlined functions, line numbers, the debug files' own
names, and the name of a code address, for which DWARF has the function and a
symbol table the symbol (``vfs_write`` or ``vfs_write.cold``).
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

import drgn

from . import views


@dataclass(slots=True)
class Difference:
    """
    Outcome of comparing things by name.

    :ivar equal: How many are the same.
    :ivar missing: Names that DWARF knows and the Program does not.
    :ivar different: Name, DWARF's answer, the Program's.
    :ivar unsized: Arrays of the right elements whose length only DWARF knows.
    """

    equal: int = 0
    missing: list[str] = field(default_factory=list)
    different: list[tuple[str, Any, Any]] = field(default_factory=list)
    unsized: list[str] = field(default_factory=list)

    def add(self, name: str, truth: Any, found: Any) -> None:
        """Compare one."""
        if found is None:
            self.missing.append(name)
        elif found == truth:
            self.equal += 1
        else:
            self.different.append((name, truth, found))

    @property
    def total(self) -> int:
        """How many were compared."""
        return self.equal + len(self.missing) + len(self.different) + len(self.unsized)

    def __str__(self) -> str:
        return (
            f"{self.equal} of {self.total} equal, {len(self.missing)} missing, "
            f"{len(self.different)} different, {len(self.unsized)} arrays without their length"
        )


def compare_types(prog: drgn.Program, answers: dict[str, Any]) -> Difference:
    """Compare every type, member by member."""
    difference = Difference()
    truth = answers["types"]
    found = _through_json(views.types(prog, truth))
    for name, description in truth.items():
        difference.add(name, description, found.get(name))
    return difference


def compare_variables(prog: drgn.Program, answers: dict[str, Any]) -> Difference:
    """
    Compare type, size and address of every variable that DWARF knows.

    DWARF may know a variable only as declared, ``extern const char banner[]``;
    an array of the same elements that has a length is no mistake then.
    """
    difference = Difference()
    for name, truth in answers["variables"].items():
        found = _variable(prog, name)
        if found is not None and truth[1] is None and truth[0].startswith("[0]"):
            element = found[0].partition("]")[2]
            if element == truth[0][3:] and found[0].startswith("["):
                found = [truth[0], None, found[2]]
        elif found is not None and _lacks_only_its_length(found, truth):
            difference.unsized.append(name)
            continue
        difference.add(name, truth, found)
    return difference


def _variable(prog: drgn.Program, name: str) -> list[Any] | None:
    """A variable as the Program gives it; one that it refuses with a reason is missing."""
    try:
        return views.variable(prog, name)
    except Exception as e:  # drgn passes on what a finder raises
        logging.getLogger(__name__).info("%s: %s", name, e)
        return None


def _lacks_only_its_length(found: list[Any], truth: list[Any]) -> bool:
    """Whether a variable is an array without length of what DWARF has an array of."""
    if found[1] is not None or not found[0].startswith("[0]") or not truth[0].startswith("["):
        return False
    return bool(truth[0].partition("]")[2] == found[0][3:] and truth[2] == found[2])


def compare_stacks(prog: drgn.Program, answers: dict[str, Any]) -> Difference:
    """
    Compare the physical frames of every task, and of the thread that crashed.

    Stack pointers count where both know them: without DWARF, the frames of
    arm64 come from the chain of frame pointers, which does not have them.
    """
    difference = Difference()
    found = _through_json(views.stacks(prog))
    for name, truth in answers["stacks"].items():
        own = found.get(name)
        if own is not None and "frames" in own and "frames" in truth:
            own = {**own, "frames": _with_known(own["frames"], truth["frames"])}
        difference.add(name, truth, own)
    return difference


def _with_known(own: list[list[int | None]], truth: list[list[int | None]]) -> list[Any]:
    """Frames with the stack pointers that are not known taken from the truth."""
    if len(own) != len(truth):
        return own
    return [[pc, t[1] if sp is None else sp] for (pc, sp), t in zip(own, truth, strict=True)]


def lacks_leaf_caller(difference: tuple[str, Any, Any], prog: drgn.Program) -> bool:
    """
    Whether all that is wrong with a stack is what a chain of frame pointers cannot know.

    A running task may have been stopped in a function that makes no frame, or
    before it made one: the address of its caller is in the link register only,
    and drgn's walk along the frame pointers (arm64 without DWARF) skips it.
    """
    name, truth, found = difference
    platform = prog.platform
    if platform is None or platform.arch is not drgn.Architecture.AARCH64:
        return False
    if not truth.get("on_cpu", name == "crashed"):
        return False
    lost = [pc for pc, _ in truth["frames"]]
    for pc, _ in found["frames"]:
        if pc not in lost:
            return False
        lost.remove(pc)
    return len(lost) == 1


def dwarf_runs_in_circles(difference: tuple[str, Any, Any]) -> bool:
    """
    Whether the truth is none: one frame over and over, up to drgn's limit.

    Seen on arm64, where an exception in the kernel interrupts a function: the
    call frame information gives the function as its own caller.
    """
    last = [pc for pc, _ in difference[1].get("frames", [])[-_CIRCLE:]]
    return len(last) == _CIRCLE and len(set(last)) == 1


_CIRCLE = 32


class Outcome(Enum):
    """How the output of a command compares, worst last."""

    IDENTICAL = "identical"
    NAMES = "differs by inlined frames, line numbers, debug file names, names of addresses"
    BOTH_FAIL = "fails with DWARF and without"
    BETTER = "fails with DWARF only"
    DIFFERENT = "different"
    WORSE = "fails without DWARF only"


Resolve = Callable[[str], "int | None"]


def compare_command(truth: dict[str, str], found: dict[str, str], resolve: Resolve) -> Outcome:
    """
    Say how two answers to one command compare.

    :param resolve: Address of a symbol.
    """
    if "error" in truth:
        return Outcome.BOTH_FAIL if "error" in found else Outcome.BETTER
    if "error" in found:
        return Outcome.WORSE
    if truth["output"] == found["output"]:
        return Outcome.IDENTICAL
    if normal(truth["output"], resolve) == normal(found["output"], resolve):
        return Outcome.NAMES
    return Outcome.DIFFERENT


_INLINE = re.compile(r"^ *#\d+ \(inline\).*\n", re.M)
_SOURCE = re.compile(r"^    (?:/|\./|[\w.-]+/)\S+\.[chS]: ?\d+(?::\d+)?\n", re.M)
_LINE = re.compile(r" \S+\.[chS]: \d+$", re.M)
_FRAME = re.compile(r"^ *#\d+ \[[0-9a-f?]+\] .*? at ([0-9a-f]+)(?: \[\w+\])?(?: \([^)]*\))?$", re.M)
_FILES = re.compile(r"^(?: *KERNEL:| *DUMPFILE:| *DEBUG KERNEL:).*\n", re.M)
_OBJECT_FILE = re.compile(r"^([0-9a-f]{16}  \S+ +[0-9a-f]{16} +\d+) .*$", re.M)
_NAMED = re.compile(r"<?([A-Za-z_$][\w.$]*)\+(0x[0-9a-f]+|\d+)>?( = 0x(?=[0-9a-f]))?")


def normal(output: str, resolve: Resolve) -> str:
    """Output without what DWARF alone knows, without debug files, with addresses as numbers."""

    def number(match: re.Match[str]) -> str:
        if match[3]:  # ``(type *)name+0x0 = 0xaddress``
            return "0x"
        address = resolve(match[1])
        return match[0] if address is None else f"{address + int(match[2], 0):016x}"

    text = _FILES.sub("", output)
    text = _INLINE.sub("", text)
    text = _SOURCE.sub("", text)
    text = _LINE.sub("", text)
    text = _FRAME.sub(r" # at \1", text)
    text = text.replace(" [0])", " [])")
    text = _OBJECT_FILE.sub(r"\1", text)
    text = _NAMED.sub(number, text)
    return re.sub(" +", " ", text)


def compare_commands(
    prog: drgn.Program, answers: dict[str, Any], lines: Iterable[str] | None = None
) -> dict[str, tuple[Outcome, dict[str, str]]]:
    """Run every recorded command, or ``lines`` of them."""

    def resolve(name: str) -> int | None:
        try:
            address: int = prog.symbol(name).address
        except LookupError:
            return None
        return address

    found = {}
    for line in answers["commands"] if lines is None else lines:
        answer = views.command(prog, line)
        found[line] = (compare_command(answers["commands"][line], answer, resolve), answer)
    return found


def _through_json(value: Any) -> Any:
    """Tuples and int subclasses as JSON gives them back."""
    return json.loads(json.dumps(value))
