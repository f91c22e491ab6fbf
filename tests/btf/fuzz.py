"""Coverage-guided fuzzing of everything that reads BTF: ``python -m tests.btf.fuzz``.

    python -m tests.btf.fuzz [--quick|--verbs|--shapes] CORPUS... [-runs=N] [libFuzzer options]

Needs atheris, which is no dependency of the tests: the property tests run the same
exercises on hypothesis' data. Start it with some small modules' BTF as the corpus; a
crash, a hang over -timeout or memory over -rss_limit_mb ends it, with the input saved.

``--quick`` only parses and asks of each type what it is, ten times as fast.
``--verbs`` takes the input as a split on top of a base of every kind as well, and puts
it through every verb. (``tests.btf.mutate`` does that ten times as fast, without coverage.)
``--shapes`` takes the input's first bytes for a verb, for its choices and for where the base
ends, the rest for types (``shapes``), so that every input gets as far as the verb; an empty
folder will do as the corpus. Ends with the executions of each verb.
"""

from __future__ import annotations

import random
import sys
from collections import Counter
from importlib import import_module
from typing import Any

# By name, because type checkers run where it is not installed.
atheris: Any = import_module("atheris")

with atheris.instrument_imports(include=["btfdbg"]):
    from btfdbg.btf import Btf
    from btfdbg.btf.text.assemble import assemble
    from btfdbg.btf.text.rawtext import dumps
    from btfdbg.errors import BtfError

    for name in ("casserts", "validate_resolve", "core_relo"):
        import_module(f"btfdbg.btf.{name}")
    from tests.btf.exercise import exercise
    from tests.btf.samples import EVERY_KIND
    from tests.btf.shapes import shape
    from tests.btf.verbs import VERBS, Case, exercise_verbs

BASE = Btf.parse(assemble(EVERY_KIND))


def one(data: bytes) -> None:
    """Read an input alone."""
    exercise(data)


def one_quickly(data: bytes) -> None:
    """Parse an input and decode, measure and print its types."""
    try:
        btf = Btf.parse(data)
    except BtfError:
        return
    for type_id in btf.own_ids():
        for ask in (btf.type_by_id, btf.resolve_size, btf.align_of):
            try:
                ask(type_id)
            except BtfError:
                pass
    dumps(btf)


def one_with_verbs(data: bytes) -> None:
    """Put an input through all verbs, alone and on top of a base."""
    for base in (None, BASE):
        try:
            btf = Btf.parse(data, base)
        except BtfError:
            continue
        exercise_verbs(btf, BASE, len(data))


_NAMES = tuple(VERBS)
_RUNS: Counter[str] = Counter()


def one_shape(data: bytes) -> None:
    """Put the types that an input stands for through the verb that it names."""
    if len(data) < 6:
        return
    verb = _NAMES[data[0] % len(_NAMES)]
    end = 3 + data[2] % (len(data) - 2)
    below = shape(data[3:end])
    btf = shape(data[end:], below if data[1] & 1 else None)
    try:
        VERBS[verb](Case(btf, below, random.Random(data[1])))
    except BtfError as error:
        if not str(error) or "\n" in str(error):
            raise AssertionError("an error is one line") from error
    _RUNS[verb] += 1
    total = _RUNS.total()
    if total % 20000 == 0:  # nothing runs after libFuzzer's end
        print(f"{total} executions:", dict(_RUNS), flush=True)


def main() -> Any:
    ways = {"--quick": one_quickly, "--verbs": one_with_verbs, "--shapes": one_shape}
    argv = [a for a in sys.argv if a not in ways]
    chosen = [ways[a] for a in sys.argv if a in ways]
    atheris.Setup(argv, chosen[0] if chosen else one)
    return atheris.Fuzz()


if __name__ == "__main__":
    main()
