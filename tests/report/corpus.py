"""Measure the report's text side against logs with known titles.

``python -m tests.report.corpus FOLDER`` prints, for production kinds and for the rest, how
often the kind and the blamed function are right, how many pairs of one bug are joined and
how many of two bugs are, and lists every log that differs. ``--part N/M`` takes only every
M-th log from the N-th on, so that rules grown on one half are measured on the other.

A log's file has header lines ``TITLE:``, ``ALT:``, ``TYPE:``, ``CORRUPTED: Y``, an empty
line, and the log. Equal titles, or a shared ALT, mean one bug. Of logs marked as corrupted,
and of titles that name no function, only the kind counts.
"""

from __future__ import annotations

import argparse
import itertools
import re
import time
from dataclasses import dataclass, field
from pathlib import Path

from btfdbg.report import Event, Signature, events, joins, signature_of
from btfdbg.report.severity import main_event

# A title's words, and the kinds that say the same; the first that matches counts.
TITLES = (
    (r"KASAN", "kasan"),
    (r"KFENCE", "kfence"),
    (r"KMSAN", "kmsan"),
    (r"KCSAN", "kcsan"),
    (r"UBSAN", "ubsan"),
    (r".*NULL pointer dereference", "null-dereference"),
    (r".*paging request", "bad-access null-dereference"),
    (r"Internal error|Unhandled fault", "bad-access external-abort null-dereference"),
    (r"general protection fault", "bad-access general-protection-fault"),
    (r"divide error", "divide-error"),
    (r"kernel BUG", "bug fortify"),
    (r"BUG: corrupted list", "list-corruption"),
    (r"BUG: soft lockup", "soft-lockup"),
    (r"INFO: rcu detected stall", "rcu-stall"),
    (r"INFO: task (?:hung|can't die)", "hung-task"),
    (r"BUG: bad usercopy", "usercopy"),
    (r"BUG: stack guard page|kernel panic: corrupted stack end", "stack-overflow"),
    (r"PANIC: double fault", "double-fault"),
    (r"kernel panic: stack is corrupted", "stack-corruption"),
    (r"kernel panic: bad mode", "trap panic"),
    (r"kernel panic", "panic"),
    (r"BUG: (?:sleeping function|scheduling while)", "atomic-sleep"),
    (r"BUG: using ", "preemptible-per-cpu"),
    (r"BUG: spinlock", "spinlock-bug"),
    (r"BUG: Bad page", "bad-page"),
    (r"BUG: Dentry still in use", "busy-inodes"),
    (r"(?:WARNING|INFO): suspicious RCU", "suspicious-rcu"),
    (r"WARNING: ODEBUG", "odebug"),
    (r"WARNING: refcount", "refcount"),
    (r"WARNING: kobject", "kobject"),
    (r"WARNING: kmalloc", "warning"),
    (r"possible deadlock|inconsistent lock|WARNING: possible circ", "lockdep"),
    (r".*(?:unlock balance|held lock|locks? held|locking bug|leaked lock)", "lockdep"),
    (r".*(?:non-static key|MAX_STACK)", "lockdep"),
    (r"WARNING", "warning"),
    (r"attempt to", "rust-panic bug"),
    (r"INFO: Freed in", "slab-corruption"),
)  # fmt: skip
PRODUCTION = re.compile(
    r"BUG: unable to handle|general protection|kernel BUG|WARNING in|INFO: task|BUG: soft lockup"
    r"|INFO: rcu detected|kernel panic|Internal error|Unhandled fault|divide error"
)


@dataclass
class Case:
    """One log, what it is called, and what we say."""

    name: str
    title: str
    alternatives: set[str]
    corrupted: bool
    found: list[Event]
    event: Event | None
    signature: Signature | None
    seconds: float
    wrong: list[str] = field(default_factory=list)

    @property
    def function(self) -> str:
        """The function that the title names, empty if it names none."""
        match = re.search(r" in ([^\s/]+)(?:/\S+)?$", self.title)
        return "" if match is None or "corrupted" in match[1] else match[1]

    @property
    def kinds(self) -> list[str]:
        """Our kinds that say what the title says."""
        for pattern, kinds in TITLES:
            if re.match(pattern, self.title):
                return kinds.split()
        return []


def read(path: Path) -> Case:
    """Read one file of the folder and judge its log."""
    head, _, log = path.read_text(errors="replace").partition("\n\n")
    fields = [line.partition(": ")[::2] for line in head.splitlines() if ": " in line]
    start = time.process_time()
    found = events(log)
    seconds = time.process_time() - start
    event = main_event(found)
    return Case(
        path.name,
        next((value for key, value in fields if key == "TITLE"), ""),
        {value for key, value in fields if key in ("ALT", "TITLE")},
        any(key == "CORRUPTED" for key, _ in fields),
        found,
        event,
        signature_of(event.kind, event.frames, event.detail) if event else None,
        seconds,
    )


def _same_function(ours: str | None, case: Case) -> bool:
    if ours is None:
        return False
    names = {
        case.function,
        *(m[1] for alt in case.alternatives if (m := re.search(r" in (\S+)$", alt))),
    }
    return ours in names or any(ours.removeprefix("sys_") == name for name in names)


@dataclass
class Figures:
    """The figures for some logs: rates from 0 to 1, and what they are made of."""

    kind: float
    function: float
    joined: float
    wrong_in_10_000: float
    lines: list[str]


def _rate(words: str, good: int, of: int) -> tuple[float, str]:
    rate = good / of if of else 1.0
    return rate, f"  {words:<16} {good}/{of} = {rate:.1%}"


def _right(case: Case) -> tuple[bool, bool]:
    """Say whether a log's kind and function are right, and note what is not."""
    event = case.event
    kind = event is not None and event.kind in case.kinds
    function = event is not None and _same_function(event.function, case)
    if case.kinds and not kind:
        case.wrong.append(f"kind {event.kind if event else None}")
    if case.function and not case.corrupted and not function:
        case.wrong.append(f"function {event.function if event else None}")
    return kind, function


def figures(cases: list[Case]) -> Figures:
    """Return the figures for some logs, and mark what is wrong in them."""
    titled = [case for case in cases if case.title]
    right = {case.name: _right(case) for case in titled}
    known = [case for case in titled if case.kinds]
    named = [case for case in titled if case.function and not case.corrupted]
    kind, kind_line = _rate("kind", sum(right[c.name][0] for c in known), len(known))
    function, function_line = _rate("function", sum(right[c.name][1] for c in named), len(named))
    pairs = joined = others = 0
    wrong = []
    for one, other in itertools.combinations(named, 2):
        if one.signature is None or other.signature is None:
            continue
        ours = joins(one.signature, other.signature)
        if one.alternatives & other.alternatives:
            pairs += 1
            joined += ours
        else:
            others += 1
            if ours:
                wrong.append(f"  joined: {one.name} {one.title} / {other.name} {other.title}")
    rate, joined_line = _rate("pairs joined", joined, pairs)
    empty = [case for case in cases if not case.title]
    share = len(wrong) / max(1, others) * 1e4
    lines = [
        kind_line,
        function_line,
        joined_line,
        f"  wrong joins      {len(wrong)}/{others} = {share:.1f} in 10,000",
        f"  no report: found {sum(bool(case.found) for case in empty)}/{len(empty)}",
        *wrong[:40],
    ]
    return Figures(kind, function, rate, share, lines)


def main() -> None:
    """Print the figures for a folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--part", default="0/1", help="N/M: every M-th log from the N-th on")
    parser.add_argument("--quiet", action="store_true", help="only the figures")
    options = parser.parse_args()
    first, step = map(int, options.part.split("/"))
    paths = sorted(options.folder.glob("*.log"), key=lambda path: int(path.stem))[first::step]
    cases = [read(path) for path in paths]
    production = [case for case in cases if PRODUCTION.match(case.title)]
    rest = [case for case in cases if not PRODUCTION.match(case.title)]
    for words, part in (("production kinds", production), ("the rest", rest)):
        print(f"{words}: {len(part)} logs")
        print("\n".join(figures(part).lines))
    everything = sum(case.seconds for case in cases)
    print(f"CPU: {everything * 1e3 / max(1, len(cases)):.2f} ms a log")
    if not options.quiet:
        for case in cases:
            if case.wrong:
                mark = " (corrupted)" if case.corrupted else ""
                print(f"{case.name} {case.title}{mark}: {'; '.join(case.wrong)}")


if __name__ == "__main__":
    main()
