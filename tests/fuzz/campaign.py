"""Many thousand mutants: in chunks, each in a process of its own, resumable.

Owns the bookkeeping: which mutants of which dump were run with which code, what
they cost, and the defects. A mutant is known by the campaign's seed, the name
of the dump and its number, and can be run again alone.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.fuzz import reads as reads_
from tests.fuzz.dumpfile import Applied, Edit, copy_sparse
from tests.fuzz.formats import open_dump
from tests.fuzz.mutate import Mutator
from tests.fuzz.sandbox import COMMANDS, INFO, OPEN, Outcome, Sandbox, open_here, warm_up


@dataclass(frozen=True, slots=True)
class Chunk:
    """Consecutive mutants of one dump."""

    base: Path
    first: int
    count: int

    @property
    def key(self) -> str:
        """Its name in the log."""
        return f"{self.base.stem}:{self.first}+{self.count}"


class Bench:
    """
    One dump, ready for mutants: a copy of its own, its reads, its truth.

    :param opened_share: How many of the mutants leave alone what opening reads.
        These go on from a Session of the undamaged dump, whose state is the
        same as if they had been opened, and in six of seven of them only those
        commands run that read what was changed. The others are run in full.
    """

    def __init__(self, base: Path, seed: str, opened_share: float = 0.0) -> None:
        self._seed = seed
        self.name = base.stem
        memory = Path("/dev/shm")
        self._folder = Path(
            tempfile.mkdtemp(prefix="btfdbg-fuzz-", dir=memory if memory.is_dir() else None)
        )
        self.path = self._folder / base.name
        try:
            self._prepare(base, opened_share)
        except BaseException:
            shutil.rmtree(self._folder, ignore_errors=True)
            raise

    def _prepare(self, base: Path, opened_share: float) -> None:
        copy_sparse(base, self.path)
        home = self._folder / "home"
        home.mkdir()
        self.sandbox = Sandbox(self.path, home)
        warm_up(self.path)
        self.reads = reads_.trace(self.path)
        dump = open_dump(self.path, self.reads.page_size)
        self._mutator = Mutator(dump, self.reads)
        self.truth = self.sandbox.learn()
        self._opened = open_here(self.path) if opened_share else None
        self._share = opened_share

    def close(self) -> None:
        """Remove the copy."""
        self.sandbox.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def edit(self, number: int) -> Edit:
        """The edit of a mutant."""
        rng = random.Random(f"{self._seed}:{self.name}:{number}")
        late = rng.random() < self._share
        return self._mutator.edit(rng, late=late)

    def unaffected(self, edit: Edit) -> frozenset[str]:
        """Phases that read no page which the edit touches."""
        if edit.frames is None:
            return frozenset()
        return frozenset(p for p in (OPEN, INFO, *COMMANDS) if not edit.frames & self.reads.of(p))

    def run(self, edit: Edit, number: int = 0, *, keep: bool = False) -> tuple[Outcome, bool]:
        """Run a mutant; also whether it went on from an opened Session."""
        same = self.unaffected(edit)
        rng = random.Random(f"{self._seed}:{self.name}:{number}")
        late = rng.random() < self._share and OPEN in same
        opened = self._opened if late else None
        skip = same - {OPEN} if late and rng.random() < 0.85 else frozenset()
        applied = Applied(self.path, edit)
        try:
            return self.sandbox.run(same, opened=opened, keep=keep, skip=skip), late
        finally:
            applied.undo()


def run_chunk(chunk: Chunk, seed: str, opened_share: float) -> dict[str, Any]:
    """Run a chunk and return its record; SIGTERM ends it early."""
    stop: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, frame: stop.append(number))
    started = time.monotonic()
    bench = Bench(chunk.base, seed, opened_share)
    record: dict[str, Any] = {
        "chunk": chunk.key, "count": 0, "opened": 0, "cpu": 0.0, "slowest": 0.0, "slowest_at": "",
        "peak": 0, "checked": 0, "changed": 0, "unusable": 0, "errors": {}, "defects": [],
    }  # fmt: skip
    errors: Counter[str] = Counter()
    try:
        record["defects"] += [
            {"number": -1, "what": "undamaged", "defect": d} for d in bench.truth.defects
        ]
        for number in range(chunk.first, chunk.first + chunk.count):
            if stop:
                record["chunk"] = f"{chunk.base.stem}:{chunk.first}+{record['count']}"
                break
            edit = bench.edit(number)
            outcome, opened = bench.run(edit, number)
            record["count"] += 1
            record["opened"] += opened
            record["cpu"] += outcome.cpu
            record["peak"] = max(record["peak"], outcome.peak)
            record["checked"] += len(bench.unaffected(edit) & outcome.seconds.keys())
            record["changed"] += bool(outcome.changed)
            record["unusable"] += outcome.errors.get("open: unusable", 0)
            errors.update(outcome.errors)
            for phase, seconds in outcome.seconds.items():
                if seconds > record["slowest"]:
                    record["slowest"] = seconds
                    record["slowest_at"] = f"{number} {phase}: {edit.what}"
            record["defects"] += [
                {"number": number, "what": edit.what, "defect": d} for d in outcome.defects
            ]
    finally:
        bench.close()
    record["errors"] = dict(errors)
    record["wall"] = round(time.monotonic() - started, 1)
    return record


def chunks(bases: Iterable[Path], count: int, size: int) -> Iterator[Chunk]:
    """Chunks of all bases in turn until there are ``count`` mutants."""
    bases = list(bases)
    first = 0
    while count > 0:
        for base in bases:
            n = min(size, count)
            if n <= 0:
                return
            yield Chunk(base, first, n)
            count -= n
        first += size


def _rest(chunk: Chunk, done: Mapping[tuple[str, int], int]) -> Chunk | None:
    """What of a chunk is still to be done; one that was ended early goes on where it stopped."""
    first, end = chunk.first, chunk.first + chunk.count
    while n := done.get((chunk.base.stem, first), 0):
        first += n
    return Chunk(chunk.base, first, end - first) if first < end else None


class Campaign:
    """
    Runs chunks, ``jobs`` at a time, and appends their records to a log.

    :param log: Lines of JSON; chunks that are in it are not run again.
    """

    def __init__(
        self, log: Path, seed: str, *, jobs: int = 1, opened_share: float = 0.0, code: str = ""
    ) -> None:
        self._log = log
        self._seed = seed
        self._jobs = jobs
        self._share = opened_share
        self._code = code
        self._running: dict[int, Chunk] = {}

    def done(self) -> dict[tuple[str, int], int]:
        """What is in the log: name of the dump and first mutant to their number."""
        if not self._log.exists():
            return {}
        with self._log.open() as f:
            keys = [json.loads(line)["chunk"] for line in f]
        found: dict[tuple[str, int], int] = {}
        for key in keys:
            name, _, span = key.rpartition(":")
            first, count = map(int, span.split("+"))
            found[name, first] = max(count, found.get((name, first), 0))
        return found

    def run(self, wanted: Iterable[Chunk]) -> None:
        """Run all that is not done."""
        done = self.done()
        for chunk in wanted:
            rest = _rest(chunk, done)
            if rest is None:
                continue
            while len(self._running) >= self._jobs:
                self._wait()
            self._start(rest)
        while self._running:
            self._wait()

    def _start(self, chunk: Chunk) -> None:
        sys.stdout.flush()
        pid = os.fork()
        if pid:
            self._running[pid] = chunk
            return
        status = 1
        try:
            record = run_chunk(chunk, self._seed, self._share)
            record["code"] = self._code
            record["at"] = time.strftime("%H:%M:%S", time.gmtime())
            with self._log.open("a") as f:
                f.write(json.dumps(record) + "\n")
            status = 0
        except BaseException:  # the child ends here, whatever it was
            traceback.print_exc()
        finally:
            os._exit(status)

    def _wait(self) -> None:
        pid, status = os.waitpid(-1, 0)
        chunk = self._running.pop(pid, None)
        if chunk is not None and status:
            print(f"{chunk.key}: the chunk's process ended with {status:#x}", file=sys.stderr)


def summary(log: Path) -> str:
    """What a log says, in lines."""
    totals: Counter[str] = Counter()
    kinds: Counter[str] = Counter()
    errors: Counter[str] = Counter()
    by_base: Counter[str] = Counter()
    by_code: Counter[str] = Counter()
    slowest, slowest_at, peak = 0.0, "", 0
    lines = []
    with log.open() as f:
        for line in f:
            r = json.loads(line)
            for key in ("count", "opened", "cpu", "checked", "changed", "unusable"):
                totals[key] += r[key]
            by_base[r["chunk"].partition(":")[0]] += r["count"]
            by_code[r["code"]] += r["count"]
            errors.update(r["errors"])
            peak = max(peak, r["peak"])
            if r["slowest"] > slowest:
                slowest, slowest_at = r["slowest"], f"{r['chunk']} {r['slowest_at']}"
            for d in r["defects"]:
                kinds[d["defect"].partition(":")[0]] += 1
                head = d["defect"].splitlines()
                lines.append(f"{r['chunk']} #{d['number']} [{d['what']}] {head[0]} … {head[-1]}")
    n = max(totals["count"], 1)
    head = [
        f"mutants {totals['count']:,}, of them {totals['opened']:,} from an opened session;"
        f" {totals['unusable']:,} could not be opened, {totals['changed']:,} answered differently",
        f"outputs held against the undamaged dump's: {totals['checked']:,}",
        f"CPU {totals['cpu']:.0f} s, {totals['cpu'] / n:.3f} s each; slowest command"
        f" {slowest:.2f} s ({slowest_at}); peak {peak >> 20} MiB",
        f"by dump: {dict(by_base)}",
        f"by code: {dict(by_code)}",
        f"defects: {dict(kinds) or 'none'}",
        "errors that ended a command: " + ", ".join(f"{e} {c}" for e, c in errors.most_common(25)),
    ]
    return "\n".join(head + lines)
