"""Options of crash(8) for values and types that drgn's commands lack, as data.

Owns the rows of ``struct``, ``union``, ``*``, ``list``, ``tree``, ``rd``, ``waitq`` and ``task``.

Facts: the help pages of crash 9.0.0.
"""

from __future__ import annotations

from btfdbg.commands.crash.table import Option

_FILE_OFFSET = "what stands at an offset of the file depends on its format; !xxd -s OFFSET FILE"


def _struct(command: str) -> tuple[Option, ...]:
    return (
        Option(command, ("-o",), "show offsets of members, with an address their addresses",
               "struct:offsets"),
        Option(command, ("-r",), "the bytes, as rd shows them", "struct:raw"),
        Option(command, ("-u",), "the address is one of the current task's memory",
               "struct:user"),
        Option(command, ("-p",), "show what pointers point to as well", "struct:pointers"),
        Option(command, ("-f",), refusal=_FILE_OFFSET),
        Option(command, (), run="struct:plain"),
    )  # fmt: skip


VALUES: tuple[Option, ...] = (
    *_struct("struct"),
    *_struct("union"),
    *_struct("*"),
    Option("list", ("-B",), "of a list that runs into itself show the loop", "lists:brent"),
    Option("list", (), run="lists:plain"),
    Option("tree", ("-v",), "of a maple tree show every node", "trees:nodes"),
    Option("tree", ("-p",), "show the position of each entry", "trees:shown"),
    Option("tree", ("-N",), "the start is a node, not a root", "trees:shown"),
    Option("tree", (), run="trees:plain"),
    Option("rd", ("-f",), refusal=_FILE_OFFSET),
    Option("rd", ("-m",), refusal="there is no hypervisor's memory in a dump; rd -p reads"
           " physical addresses"),
    Option("rd", (), run="lists:rd"),
    Option("waitq", (), run="waitq:plain"),
)  # fmt: skip

EXPRESSIONS = frozenset(("struct", "union", "*", "list", "tree", "rd", "waitq"))
"""Commands whose operands may be expressions in brackets."""
