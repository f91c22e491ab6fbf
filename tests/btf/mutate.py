"""Fuzzing by mutation, without a fuzzing engine: ``python -m tests.btf.mutate [BLOB...]``.

    python -m tests.btf.mutate [--seconds N] [--seed N] [--save DIR] [BLOB...]

BLOB is raw BTF; with BLOB.base beside it, it is split on top of that. Some of the inputs
are made from these, most from random graphs with every kind of cycle, all are small:
what fails fails with few types, and many more can be tried. Each is damaged, parsed, and
put through every verb of ``verbs``. More than SECONDS_EACH of CPU time or MEMORY of
address space in one verb counts as a failure, like any exception that is no BtfError.
Each place that fails is reported once, its input saved.

Prints executions per verb, how many of them ended in an error, and the slowest.
"""

from __future__ import annotations

import argparse
import os
import random
import resource
import signal
import sys
import time
import traceback
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import FrameType

from btfdbg.btf import Btf
from btfdbg.btf.pack import with_byteorder
from btfdbg.btf.text.assemble import assemble
from btfdbg.errors import BtfError, BtfFormatError
from tests.btf.samples import EVERY_KIND, SPLIT
from tests.btf.verbs import VERBS, Case
from tests.btf_tools.graphs import build, random_types

SECONDS_EACH = 3.0
MEMORY = 1 << 30
# Bytes of a blob that most inputs are made from.
SMALL = 500
# Kinds, third words and ids that are worth trying.
_WORDS = (0, 1, 2, 3, 4, 7, 8, 16, 31, 32, 64, 0xFFFF, 0xFFFFFF, 0x7FFFFFFF, 0xFFFFFFFF)

#: Graphs that C has no words for, or that walks must not follow forever.
CYCLES = (
    "[1] STRUCT 's' size=8 vlen=1\n\t'a' type_id=1 bits_offset=0\n",
    "[1] STRUCT '(anon)' size=8 vlen=2\n\t'(anon)' type_id=1 bits_offset=0\n"
    "\t'b' type_id=1 bits_offset=0\n",
    "[1] TYPEDEF 't' type_id=1\n",
    "[1] TYPEDEF 't' type_id=2\n[2] CONST '(anon)' type_id=3\n[3] TYPEDEF 'u' type_id=1\n",
    "[1] ARRAY '(anon)' type_id=1 index_type_id=1 nr_elems=4294967295\n",
    "[1] ARRAY '(anon)' type_id=2 index_type_id=1 nr_elems=65536\n"
    "[2] STRUCT 's' size=8 vlen=1\n\t'a' type_id=1 bits_offset=0\n",
    "[1] PTR '(anon)' type_id=1\n",
    "[1] PTR '(anon)' type_id=2\n[2] TYPEDEF 't' type_id=1\n",
    "[1] FUNC_PROTO '(anon)' ret_type_id=2 vlen=1\n\t'a' type_id=2\n[2] PTR '(anon)' type_id=1\n",
    "[1] FUNC_PROTO '(anon)' ret_type_id=1 vlen=1\n\t'a' type_id=1\n",
    "[1] STRUCT 'a' size=8 vlen=1\n\t'x' type_id=2 bits_offset=0\n"
    "[2] UNION 'b' size=8 vlen=1\n\t'y' type_id=1 bits_offset=0\n",
    "[1] DECL_TAG 'd' type_id=1 component_idx=0\n",
    "[1] VAR 'v' type_id=2, linkage=static\n[2] DATASEC '.d' size=8 vlen=1\n"
    "\ttype_id=1 offset=0 size=8\n",
)


class TooLong(BaseException):
    """A verb took more than its time; no handler of errors must catch it."""


def _alarm(_signal: int, _frame: FrameType | None) -> None:
    raise TooLong


def load(paths: Sequence[str]) -> list[tuple[bytes, Btf | None]]:
    """Return blobs, each with the base beside it."""
    out = []
    for path in paths:
        beside = Path(path + ".base")
        base = Btf.parse(beside.read_bytes()) if beside.exists() else None
        out.append((Path(path).read_bytes(), base))
        Btf.parse(*out[-1])
    return out


def damage(rng: random.Random, blob: bytes, types: int) -> bytes:
    """Return a blob with up to four things wrong with it."""
    data = bytearray(blob)
    for _ in range(rng.choice((0, 1, 1, 1, 2, 2, 4))):
        if len(data) < 28:
            break
        at = rng.randrange(len(data)) & ~3
        # Mostly not the header, of which few mutants are accepted.
        if at < 24 and rng.random() < 0.9:
            at = 24
        match rng.randrange(9):
            case 0:
                data[at] ^= 1 << rng.randrange(8)
            case 1:
                data[at : at + 4] = rng.choice(_WORDS).to_bytes(4, "little")
            case 2:
                data[at : at + 4] = rng.randrange(types + 2).to_bytes(4, "little")
            case 3:
                data[at] = rng.randrange(256)
            case 4 if at + 7 < len(data):
                data[at + 7] = rng.randrange(24) | rng.choice((0, 0, 0x80))  # a kind, maybe
            case 5:
                other = rng.randrange(24, len(data)) & ~3
                data[at : at + 4], data[other : other + 4] = (
                    data[other : other + 4],
                    data[at : at + 4],
                )
            case 6:
                data[at] = (data[at] + rng.choice((1, 255))) & 255
            case 7 if rng.random() < 0.3:
                del data[at : at + 4]
            case 8 if rng.random() < 0.3:
                data[at:at] = rng.randrange(types + 2).to_bytes(4, "little")
    return bytes(data)


def inputs(
    rng: random.Random, corpus: list[tuple[bytes, Btf | None]]
) -> Iterator[tuple[bytes, Btf | None, Btf]]:
    """Yield blobs, some damaged, each with its base and an undamaged one of its sort."""
    every = Btf.parse(assemble(EVERY_KIND))
    cycles = [Btf.parse(assemble(text)) for text in CYCLES]
    fixed = [(bytes(every.raw), None), (assemble(SPLIT, every), every)]
    fixed += [(bytes(btf.raw), None) for btf in cycles]
    small = [(blob, base) for blob, base in corpus if len(blob) < SMALL] or corpus
    while True:
        where = rng.random()
        base: Btf | None
        if where < 0.25 and corpus:
            blob, base = rng.choice(corpus if where < 0.02 else small)
            good = base or Btf.parse(blob)
        elif where < 0.4:
            blob, base = rng.choice(fixed if where < 0.27 else fixed[2:])
            good = base or rng.choice(cycles)
        else:
            good = build(random_types(rng, rng.randrange(1, 6), 1))
            base = good if rng.random() < 0.4 else None
            start = 1 if base is None else base.type_cnt
            blob = bytes(build(random_types(rng, rng.randrange(1, 6), start), base).raw)
        if rng.random() < 0.05:
            blob = with_byteorder(Btf.parse(blob, base), "big")
        types = len(blob) // 12 + (base.type_cnt if base is not None else 0)
        yield damage(rng, blob, min(types, 400)), base, good


class Counts:
    """Executions by verb."""

    def __init__(self) -> None:
        self.runs = dict.fromkeys(["parse", *VERBS], 0)
        self.errors = dict.fromkeys(self.runs, 0)
        self.slowest = dict.fromkeys(self.runs, 0.0)
        self.failed: dict[str, int] = {}

    def __str__(self) -> str:
        lines = [f"{'':<20}{'executions':>12}{'errors':>10}{'slowest':>10}"]
        lines += [
            f"{verb:<20}{runs:>12,}{self.errors[verb]:>10,}{1e3 * self.slowest[verb]:>7.0f} ms"
            for verb, runs in self.runs.items()
        ]
        lines.append(f"{'all':<20}{sum(self.runs.values()):>12,}")
        lines.append(f"peak {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10} MiB")
        lines += [f"FAILED {n} times: {where}" for where, n in self.failed.items()]
        return "\n".join(lines)


def _place(error: BaseException) -> str:
    """Return where and how an exception came about."""
    frames = traceback.extract_tb(error.__traceback__)
    inner = [f for f in frames if "btfdbg" in f.filename or "verbs" in f.filename] or list(frames)
    at = inner[-1]
    return f"{Path(at.filename).name}:{at.lineno} {at.name}: {type(error).__name__} {error}"[:200]


def one(
    rng: random.Random, blob: bytes, base: Btf | None, good: Btf, counts: Counts
) -> Iterator[tuple[str, BaseException]]:
    """Put one blob through every verb; yield what should not have happened."""
    counts.runs["parse"] += 1
    try:
        btf = Btf.parse(blob, base)
    except BtfFormatError:
        counts.errors["parse"] += 1
        return
    seed = rng.randrange(1 << 32)
    armed = 0.0
    for verb, run in VERBS.items():
        counts.runs[verb] += 1
        started = time.process_time()
        if started > armed + SECONDS_EACH / 8:
            # Not before each verb: setting a timer takes as long as the shortest of them.
            armed = started
            signal.setitimer(signal.ITIMER_VIRTUAL, SECONDS_EACH)
        try:
            run(Case(btf, good, random.Random(seed)))
        except BtfError as error:
            counts.errors[verb] += 1
            if not str(error) or "\n" in str(error):
                yield verb, error
        except (Exception, TooLong) as error:  # that is what is looked for
            armed = 0.0
            yield verb, error
        counts.slowest[verb] = max(counts.slowest[verb], time.process_time() - started)
    signal.setitimer(signal.ITIMER_VIRTUAL, 0)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.btf.mutate", description=__doc__)
    parser.add_argument("blobs", nargs="*", metavar="BLOB")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--save", default="mutants", metavar="DIR")
    args = parser.parse_args()
    signal.signal(signal.SIGVTALRM, _alarm)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    corpus = load(args.blobs)
    rng = random.Random(args.seed)
    counts = Counts()
    end = time.monotonic() + args.seconds
    said = 0.0
    for blob, base, good in inputs(rng, corpus):
        for verb, error in one(rng, blob, base, good, counts):
            where = f"{verb}: {_place(error)}"
            if where not in counts.failed:
                os.makedirs(args.save, exist_ok=True)
                name = Path(args.save, f"{len(counts.failed)}")
                name.with_suffix(".btf").write_bytes(blob)
                name.with_suffix(".good").write_bytes(good.raw)
                if base is not None:
                    Path(f"{name}.btf.base").write_bytes(base.raw)
                print(f"{where}\n{''.join(traceback.format_exception(error)[-4:])}", flush=True)
            counts.failed[where] = counts.failed.get(where, 0) + 1
        now = time.monotonic()
        if now > end:
            break
        if now > said + 60:
            said = now
            print(counts, flush=True)
    print(counts)
    return 1 if counts.failed else 0


if __name__ == "__main__":
    sys.exit(main())
