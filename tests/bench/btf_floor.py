"""``python -m tests.bench.btf_floor VMLINUX_BTF``: what the BTF toolkit's loops cost bare.

For each goal of ``tests.bench.btf`` that is not met: CPU time of nothing but what any pure
Python has to do for it, with all else given: the interpreter, the files read, one step for
each record, name or line. Least of so many rounds, in a process that does nothing else; the
interpreter's is the median of so many processes.
"""

from __future__ import annotations

import argparse
import gc
import os
import statistics
import sys
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

from btfdbg.btf import Btf
from btfdbg.btf.cheader.header import dump_c
from btfdbg.btf.layouts import COMPOSITES, ENUM, ENUM64, FUNC_PROTO, LAYOUTS
from tests.bench.btf import run_once


def least(rounds: int, work: Callable[[], object]) -> float:
    """Return the least CPU time of some rounds, in seconds."""
    out = []
    for _ in range(rounds):
        started = time.process_time()
        work()
        out.append(time.process_time() - started)
    return min(out)


def index_bare(lengths: bytes, long: dict[int, int], end: int) -> list[int]:
    """
    Make the list of offsets if a byte said how long a record is, and all were right.

    Bytes, because a list of all words' takes longer to make than it saves.
    """
    offsets: list[int] = []
    append = offsets.append
    pos = 0
    while pos < end:
        append(pos)
        pos += lengths[pos] or long[pos]
    return offsets


def lines_bare(lefts: list[str], names: list[str], ends: list[tuple[int, int]]) -> list[str]:
    """Make each definition's lines, if every declaration were known and every name cut."""
    out = []
    for at, end in ends:
        pairs = zip(lefts[at:end], names[at:end], strict=True)
        out.append("".join([f"\n\t{left}{name};" for left, name in pairs]))
    return out


def order_bare(below: list[list[int]]) -> bytearray:
    """Ask of each type that C has once, and of each of its references, whether it is done."""
    done = bytearray(len(below))
    for type_id, targets in enumerate(below):
        for target in targets:
            if not done[target]:
                break
        done[type_id] = 1
    return done


def cut_bare(words: memoryview, slices: list[slice]) -> bytes:
    """Cut the elements of each record out of all words, in a C loop."""
    return b"".join(map(words.__getitem__, slices))


def layout_bare(starts: list[int], sizes: list[int], units: list[int]) -> bool:
    """Ask of each member whether it is aligned, and ends before the next one begins."""
    before = 0
    odd = False
    for start, size, unit in zip(starts, sizes, units, strict=True):
        if start % unit or start < before:
            odd = True
        before = start + size
    return odd


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.btf_floor", description=__doc__)
    parser.add_argument("vmlinux", type=Path)
    parser.add_argument("-n", "--rounds", type=int, default=9)
    args = parser.parse_args()
    rounds = args.rounds
    gc.disable()
    interpreter, library = (
        statistics.median(
            run_once([sys.executable, "-c", code], os.devnull).cpu for _ in range(rounds)
        )
        for code in ("pass", "import btfdbg.btf.btf")
    )
    btf = Btf.parse(args.vmlinux.read_bytes())
    end = len(btf.words)
    lengths = bytearray(end)
    long: dict[int, int] = {}
    for at, after in pairwise([*btf.offsets, end]):
        if after - at < 256:
            lengths[at] = after - at
        else:
            long[at] = after - at
    offsets: list[int] = []
    ends: list[tuple[int, int]] = []
    below: list[list[int]] = [[]]
    slices: list[slice] = []
    members = 0
    for type_id, kind in zip(btf.own_ids(), btf.own_kinds(), strict=True):
        # Of prototypes C needs few.
        below.append([] if kind == FUNC_PROTO else [int(t) for t in btf.iter_type_refs(type_id)])
        if kind in COMPOSITES or kind in (ENUM, ENUM64):
            first = len(offsets)
            offsets += btf.record(type_id)[3 :: LAYOUTS[kind].elem_words]
            ends.append((first, len(offsets)))
            members += len(offsets) - first if kind in COMPOSITES else 0
        if kind in COMPOSITES or kind in (ENUM, ENUM64, FUNC_PROTO):
            slices.append(slice(btf.offsets[type_id - 1] + 3, btf.record_end(type_id)))
    text, find = btf.strings.data.decode("latin-1"), btf.strings.data.find

    def cut() -> list[str]:
        return [text[at : find(0, at)] for at in offsets]

    names = cut()
    lefts = ["unsigned long "] * len(names)
    header = "".join(dump_c(btf))
    index = least(rounds, lambda: index_bare(bytes(lengths), long, end))
    dump = {
        f"{len(slices):,} records' elements cut out": lambda: cut_bare(btf.words, slices),
        f"{len(names):,} names cut": cut,
        f"{members:,} members held against the one before": lambda: layout_bare(
            [64] * members, [64] * members, [8] * members
        ),
        f"{len(names):,} lines joined out of ready parts": lambda: lines_bare(lefts, names, ends),
        f"{len(below):,} types ordered, a step for each reference": lambda: order_bare(below),
        f"{len(header):,} characters encoded": header.encode,
    }
    costs = {what: least(rounds, work) for what, work in dump.items()}
    start = interpreter + index

    def say(seconds: float, what: str) -> None:
        print(f"{1000 * seconds:7.1f} ms  {what}")

    say(interpreter, "interpreter")
    say(library - interpreter, "import of what reads BTF")
    say(index, f"index: {len(btf.offsets):,} records, one step and one append each")
    for what, seconds in costs.items():
        say(seconds, f"C dump: {what}")
    say(start, "index, bare")
    say(2 * start, "distill and relocate, bare: two of these")
    say(start + sum(costs.values()), "C dump, bare")
    return 0


if __name__ == "__main__":
    sys.exit(main())
