"""Hold btfdbg's commands against crash's on the same dump, crash with the real vmlinux.

    python -m tests.oracle.crash9 --crash CRASH --pair NAME VMLINUX DUMP [--pair …] > table.md

Owns what counts as a fact: an address, a number beside a name, a name. Of every form of
``tests/commands/forms.py`` the facts that crash prints are looked for in what btfdbg prints;
what is not there is counted, and the reason stands beside it (``REASONS``).

``python -m tests.oracle.crash9 … --write docs/crash.md`` puts the table between the marks in
that file.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.commands.forms import FORMS, Form, command_line, places

# Minutes in crash or here, over every page or every task's pages.
_LONG = ("kmem -F", "kmem -p", "kmem -S", "foreach vm -p", "foreach vm -m", "foreach vm -v -x",
         "search -k", "search -V", "search -h", "search -w", "foreach bt -r", "kmem -f",
         "foreach net -S", "bt -FF", "bt -F", "set scroll")  # fmt: skip
_EXACT_ONLY = frozenset(("kmem -S", "kmem -p"))
_MARK = "@@@ "
_START, _END = "<!-- crash9 begin -->", "<!-- crash9 end -->"

_ADDRESS = re.compile(r"\b(?:0x)?([0-9a-f]{7,16})\b")
_WORD = re.compile(r"[A-Za-z_/][\w./:@-]{2,}")
_HEADINGS = re.compile(r"^[A-Z][A-Z0-9_%:/ ()-]+$")

_STACK = (
    "a frame's address is its stack pointer, crash's the place of its return address, 8 bytes"
    " before; crash ends with the user's registers, which bt -e shows"
)
_STALE = (
    f"{_STACK}; crash lists functions too whose return addresses are stale, which its plain"
    " foreach bt of the same dump does not"
)
_REGISTERS = "crash ends with the user's registers, which bt -e shows"
_STRUCT = "a structure is printed as drgn prints it, with types; crash prints gdb's form"
_DWARF = "crash has path and line from DWARF; here the file, where the dump proves it"
_LINEAR = "crash goes on to vmalloc addresses and the kernel's image; search -k does here"
REASONS: dict[str, str] = {
    "bt": _STACK,
    "foreach bt": _STACK,
    "foreach bt -s": _STALE,
    "foreach bt -f": _STALE,
    "foreach bt -R": _STALE,
    "foreach bt -t": _REGISTERS,
    "foreach bt -o": _REGISTERS,
    "foreach bt -e": "crash takes more words for an exception frame; here segments, flags, program"
    " counter and stack pointer have to fit each other",
    "foreach UN bt": _STACK,
    "foreach RU bt": _STACK,
    "foreach kernel bt": _STACK,
    "foreach active bt": _STACK,
    "foreach {pid} bt": _STACK,
    "bt -l": _DWARF,
    "bt -v": "crash reports the task without a stack as an invalid address",
    "bt -t": _REGISTERS,
    "bt -T": _REGISTERS,
    "bt -o": _REGISTERS,
    "bt -I": "drgn unwinds from there by ORC; crash takes what is on the stack, stale or not",
    "bt -S": "the form is about another task by then: crash refuses, too",
    "kmem -S": "slabs and objects, not struct kmem_cache_cpu and kmem_cache_node",
    "kmem -S=0": "crash adds the slabs of the CPU's partial list; kmem -S does here",
    "vm -m": _STRUCT,
    "vm -x -m": _STRUCT,
    "vm -v": _STRUCT,
    "vm -d -v": _STRUCT,
    "task": _STRUCT,
    "foreach vtop": "crash says (not accessible) of a task without user memory",
    "fuser": "crash cuts names to 14 characters, and lists the idle tasks",
    "ipcs -M": "pages and inode are columns, not lines below a segment",
    "sbitmapq": "crash breaks off: invalid structure member offset, sbq_wait_state_wait_cnt",
    "mach": "the areas' bases; the CPUs' exception stacks are gone through by bt -E",
    "sys": "crash's KERNEL is the vmlinux it was given; here there is none",
    "sys -c": _DWARF,
    "search": _LINEAR,
    "vtop": "a symbol is taken here, which crash refuses",
    "mod": "OBJECT FILE says where a module's types are from",
    "set -v": "variables that have no meaning here say what to type",
    "ps -s": "crash's KSTACKP is thread.sp; drgn's is the stack pointer of the frame unwound"
    " from there",
    "foreach files": "crash names what an anonymous inode is (eventfd, timerfd); drgn's TYPE is"
    " that of its mode",
    "irq -s": "drgn does not say -edge and -fasteoi",
    "timer -r": "drgn prints no function of a clock, and not both ends of a range",
}
"""Beginning of a form, the longest that is there, to why columns differ."""


@dataclass(frozen=True, slots=True)
class Row:
    """
    One form on one dump.

    :ivar facts: What crash says.
    :ivar missing: What of it btfdbg does not say.
    :ivar crash_failed: crash refuses, or has no answer.
    """

    form: str
    facts: int
    missing: tuple[str, ...]
    works: bool
    crash_failed: bool


def facts(text: str) -> set[str]:
    """Addresses as numbers, and names; headings and punctuation are none."""
    found: set[str] = set()
    for line in text.splitlines():
        for match in _ADDRESS.finditer(line):
            if not match[1].isdecimal() or len(match[1]) >= 12:
                found.add(f"{int(match[1], 16):x}")
        rest = _ADDRESS.sub(" ", line)
        for word in _WORD.findall(rest):
            if not _HEADINGS.match(word):
                name = word.rstrip(":.").lower().removeprefix("pg_")
                # crash cuts the ending off that the compiler gave a copy of a function.
                found |= {name, re.sub(r"\.(isra|part|constprop|cold)(\.\d+)*$", "", name)}
    return found


def run_crash(
    crash: str, vmlinux: str, dump: str, lines: Sequence[str], folder: Path
) -> list[str | None]:
    """
    What crash prints for each line, ``None`` if it did not get there.

    It is kept in a folder, and taken from there the next time.
    """
    script, kept = folder / f"{Path(dump).name}.lines", folder / f"{Path(dump).name}.crash"
    text = "".join(f'!echo "{_MARK}{i}"\n{line}\n' for i, line in enumerate(lines))
    text += "quit\n"
    if not (kept.exists() and script.exists() and script.read_text(encoding="utf-8") == text):
        script.write_text(text, encoding="utf-8")
        with kept.open("wb") as out:
            subprocess.run(
                [crash, "-s", "-i", str(script), vmlinux, dump],
                stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, check=False,
            )  # fmt: skip
    found: list[str | None] = [None] * len(lines)
    said_by_all = kept.read_text(encoding="utf-8", errors="replace")
    for part in re.split(rf"(?m)^{_MARK}", said_by_all)[1:]:
        number, _, said = part.partition("\n")
        if number.strip().isdecimal() and int(number) < len(found):
            found[int(number)] = said
    return found


def compare(name: str, crash: str, vmlinux: str, dump: str, folder: Path) -> list[Row]:
    """Run every form in both; one opening of the dump each."""
    import btfdbg
    from btfdbg.commands.evaluate import prepare, run_line

    session = btfdbg.session(btfdbg.program_from_core_dump(dump))
    prepare(session)
    known = places(session)
    forms = [(form, command_line(form, known)) for form in FORMS if _wanted(form)]
    lines = [(form, line) for form, line in forms if line is not None]
    theirs = run_crash(crash, vmlinux, dump, [line for _, line in lines], folder)
    rows = []
    for (form, line), said in zip(lines, theirs, strict=True):
        if said is None:
            continue
        ours, problem = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(ours), contextlib.redirect_stderr(problem):
            works = run_line(session, line)
        rows.append(_row(form, line, said, ours.getvalue(), works))
        print(f"{name}: {line}: {len(rows[-1].missing)} of {rows[-1].facts}", file=sys.stderr)
    return rows


def _wanted(form: Form) -> bool:
    return form.answers and not any(
        form.line == long or (form.line.startswith(long + " ") and long not in _EXACT_ONLY)
        for long in _LONG
    )


def _row(form: Form, line: str, said: str, ours: str, works: bool) -> Row:
    command = form.command
    failed = not said.strip() or any(
        row.startswith((f"{command}: ", "foreach: ", "no ")) for row in said.splitlines()[:3]
    )
    wanted, have = facts(said), facts(ours)
    missing = tuple(sorted(wanted - have))
    return Row(form.line, len(wanted), missing, works, failed)


def table(columns: Sequence[str], results: Sequence[Sequence[Row]]) -> Iterable[str]:
    """Markdown, a row per form."""
    yield f"| form | {' | '.join(columns)} | what differs |"
    yield f"|---|{'---|' * len(columns)}---|"
    by_form: dict[str, list[Row | None]] = {}
    for i, rows in enumerate(results):
        for row in rows:
            by_form.setdefault(row.form, [None] * len(columns))[i] = row
    for form, cells in by_form.items():
        shown = " | ".join(_cell(cell) for cell in cells)
        text = form.replace("|", "\\|")
        yield f"| `{text}` | {shown} | {_reason(form, cells)} |"


def _cell(row: Row | None) -> str:
    if row is None:
        return "-"
    if row.crash_failed:
        return "crash has no answer" if row.works else "neither"
    if not row.works:
        return "not here"
    same = row.facts - len(row.missing)
    return "all" if not row.missing else f"{same} of {row.facts}"


def _reason(form: str, cells: Sequence[Row | None]) -> str:
    if not any(cell is not None and cell.missing and not cell.crash_failed for cell in cells):
        return ""
    words = form.split()
    for end in range(len(words), 0, -1):
        found = REASONS.get(" ".join(words[:end]))
        if found:
            return found
    return "not explained"


def main() -> int:
    """Run the comparison."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--crash", required=True, help="crash 9's executable")
    parser.add_argument("--pair", nargs=3, action="append", required=True,
                        metavar=("NAME", "VMLINUX", "DUMP"))  # fmt: skip
    parser.add_argument("--write", type=Path, help="file to put the table into")
    parser.add_argument("--keep", type=Path, help="folder for what crash printed, to run it once")
    parser.add_argument("--missing", type=Path, help="file for what is missing, by form")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = args.keep or Path(temporary)
        results = [
            compare(name, args.crash, vmlinux, dump, folder) for name, vmlinux, dump in args.pair
        ]
    lines = list(table([name for name, _, _ in args.pair], results))
    if args.missing:
        args.missing.write_text(
            "".join(
                f"{name} {row.form}: {' '.join(row.missing[:60])}\n"
                for (name, _, _), rows in zip(args.pair, results, strict=True)
                for row in rows
                if row.missing
            ),
            encoding="utf-8",
        )
    text = "\n".join(lines) + "\n"
    if args.write:
        before = args.write.read_text(encoding="utf-8")
        head, _, rest = before.partition(_START)
        tail = rest.partition(_END)[2]
        args.write.write_text(f"{head}{_START}\n{text}{_END}{tail}", encoding="utf-8")
    else:
        print(text, end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
