"""``python -m tests.bench.distinct CORE``: names that are asked once each, in an open session.

CPU time for one of many different names: what the first look-up of each takes, which no memory
of answers helps. ``tests.bench.session`` asks for one name a thousand times.
"""

from __future__ import annotations

import argparse
import random
import time
from collections import Counter
from collections.abc import Callable, Iterable

from btfdbg.kallsyms.choice import is_text
from btfdbg.program.attach import register
from btfdbg.vmcore.open import open_core

# Before what is measured: what the first hundred make is there for all others.
_FIRST = 150
_NAMES = 2000


def _measure(what: str, names: list[str], ask: Callable[[str], object]) -> None:
    def each(some: Iterable[str]) -> float:
        before = time.process_time()
        for name in some:
            try:
                ask(name)
            except LookupError:
                pass
        return (time.process_time() - before) * 1e6

    first, rest = names[:_FIRST], names[_FIRST : _FIRST + _NAMES]
    print(f"{what:<34} {each(first) / len(first):8.1f} {each(rest) / len(rest):8.1f}")


def main() -> None:
    """Print a line for each kind of name: us of one of the first ones, and of one later."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.distinct", description=__doc__)
    parser.add_argument("core")
    args = parser.parse_args()
    prog, info = open_core(args.core)
    session = register(prog, None, info)
    session.reads_code = False  # 0.1 s for each that nothing else knows, and another question
    assert session.symbols is not None
    counts = Counter(symbol.name for symbol in session.symbols if not is_text(symbol))
    names = sorted(name for name, n in counts.items() if n == 1 and not name.startswith("__"))
    random.Random(1).shuffle(names)
    half = _FIRST + _NAMES
    print(f"{'us for one name':<34} {'first':>8} {'later':>8}")
    _measure("symbols", names[:half], session.lookup_symbols)
    _measure("types of variables, symbol known", names[:half], prog.variable)
    _measure("types of variables", names[half : 2 * half], prog.variable)
    absent = [f"absent_{number}" for number in range(half)]
    _measure("absent names", absent, prog.__contains__)
    _measure("absent types", absent, lambda name: prog.type(f"struct {name}"))


if __name__ == "__main__":
    main()
