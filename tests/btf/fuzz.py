"""Coverage-guided fuzzing of everything that reads BTF: ``python -m tests.btf.fuzz``.

    python -m tests.btf.fuzz [--quick|--verbs] CORPUS... [-runs=N] [-max_len=N] [libFuzzer options]

Needs atheris, which is no dependency of the tests: the property tests run the same
exercises on hypothesis' data. Start it with some small modules' BTF as the corpus; a
crash, a hang over -timeout or memory over -rss_limit_mb ends it, with the input saved.

``--quick`` only parses and asks of each type what it is, ten times as fast.
``--verbs`` takes the input as a split on top of a base of every kind as well, and puts
it through every verb. (``tests.btf.mutate`` does that ten times as fast, without coverage.)
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Any

# By name, because type checkers run where it is not installed.
atheris: Any = import_module("atheris")

with atheris.instrument_imports(include=["btfdbg"]):
    from btfdbg.btf import Btf
    from btfdbg.btf.assemble import assemble
    from btfdbg.btf.rawtext import dumps
    from btfdbg.errors import BtfError

    for name in ("casserts", "validate_resolve", "core_relo"):
        import_module(f"btfdbg.btf.{name}")
    from tests.btf.exercise import exercise
    from tests.btf.samples import EVERY_KIND
    from tests.btf.verbs import exercise_verbs

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


def main() -> Any:
    ways = {"--quick": one_quickly, "--verbs": one_with_verbs}
    argv = [a for a in sys.argv if a not in ways]
    chosen = [ways[a] for a in sys.argv if a in ways]
    atheris.Setup(argv, chosen[0] if chosen else one)
    return atheris.Fuzz()


if __name__ == "__main__":
    main()
