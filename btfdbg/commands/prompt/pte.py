"""``pte``: what the bits of a page table entry say.

Owns what is printed. The bits stand in the architecture's file of ``vmcore.paging``; ``vtop``
finds the entries.

Facts: ``arch/x86/include/asm/pgtable_64.h`` (swap entries since commit 6b28baca9b1f).
"""

from __future__ import annotations

import argparse

import drgn
from drgn.commands import CommandError, argument

from btfdbg.commands import output
from btfdbg.commands.define import prompt_command
from btfdbg.program.session import Session
from btfdbg.vmcore.paging import entry_bits

_WORD = (1 << 64) - 1


@prompt_command(
    name="pte",
    description="translate the contents of a page table entry",
    long_description="""
    Show the physical address and the bits of a page table entry, given by its contents in
    hexadecimal; of an entry that is not present the swap location, where the architecture
    tells. The entry of an address is shown by ``vtop``.
    """,
    arguments=(argument("contents", nargs="+", help="contents of an entry, hexadecimal"),),
    examples=(("pte d8e067", "physical address and bits"),),
)
def pte(session: Session, args: argparse.Namespace) -> None:
    """Run the command."""
    platform = session.prog.platform
    layout = None if platform is None else entry_bits(platform.arch)
    if platform is None or layout is None:
        name = "?" if platform is None else platform.arch.name
        raise CommandError(f"the bits of {name}'s entries are not known here; vtop ADDRESS walks")
    entries = [(text, _number(text)) for text in args.contents]
    for i, (text, entry) in enumerate(entries):
        if i:
            output.emit("")
        if not entry & layout.present:
            _absent(session, platform.arch, text, entry)
            continue
        physical = (entry & layout.frame) << layout.shift
        flags = "|".join(layout.names(entry))
        width = max(len(text), 3)
        place = max(len(f"{physical:x}"), 8)
        output.emit(("heading", f"{'PTE':^{width}}  {'PHYSICAL':^{place}}  FLAGS"))
        output.emit(f"{text:>{width}}  ", ("address", f"{physical:>{place}x}"), f"  ({flags})")


def _number(text: str) -> int:
    try:
        found = int(text, 16)
    except ValueError:
        raise CommandError(f"{text!r} is no hexadecimal number") from None
    if not 0 <= found <= _WORD:
        raise CommandError(f"{text!r} has more than 64 bits")
    return found


def _absent(session: Session, arch: drgn.Architecture, text: str, entry: int) -> None:
    if not entry:
        output.emit(f"{text}: no entry: nothing is mapped")
        return
    if arch is not drgn.Architecture.X86_64:
        output.emit(f"{text}: not present: a swap or migration entry, which differs by kernel")
        return
    # SWP_OFFSET_FIRST_BIT is 9; five bits of type are at the top, the offset is inverted.
    kind = entry >> 59
    offset = (~entry & _WORD) << 5 & _WORD
    offset >>= 14
    output.emit(("heading", f"{'PTE':^{len(text)}}  SWAP  OFFSET"))
    output.emit(f"{text}  {_swap_file(session, kind)}  {offset}")


def _swap_file(session: Session, kind: int) -> str:
    from btfdbg.commands.text import escape

    try:
        from drgn.helpers.linux.fs import d_path

        info = session.prog["swap_info"][kind].read_()
        if info:
            return escape(d_path(info.swap_file.f_path).decode("utf-8", "backslashreplace"))
    except (LookupError, ValueError, AttributeError, drgn.FaultError, IndexError):
        pass
    return f"(type {kind}: no swap device of this kernel)"
