"""``python -m tests.commands.count_forms DUMP [DUMP…]``: forms of crash that work on a dump.

Prints, of the forms that a dump can answer, how many work, weekly ones and all, and which do
not; and how many of the others are refused in one line.
"""

from __future__ import annotations

import argparse
import contextlib
import io

import btfdbg
from btfdbg.commands.evaluate import prepare, run_line
from tests.commands.forms import FORMS, command_line, places


def main() -> None:
    """Print the counts for each dump."""
    parser = argparse.ArgumentParser(prog="python -m tests.commands.count_forms")
    parser.add_argument("dumps", nargs="+", metavar="DUMP")
    for dump in parser.parse_args().dumps:
        session = btfdbg.session(btfdbg.program_from_core_dump(dump))
        prepare(session)
        known = places(session)
        counts = {"weekly": [0, 0], "all": [0, 0], "refused": [0, 0]}
        failed = []
        for form in FORMS:
            line = command_line(form, known)
            if line is None:
                continue  # this dump has nothing of the kind
            out, err = io.StringIO(), io.StringIO()
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
                good = run_line(session, line)
            said = err.getvalue().strip().splitlines()
            if not form.answers:
                counts["refused"][1] += 1
                counts["refused"][0] += not good and not out.getvalue() and len(said) == 1
                continue
            # What this dump has none of is told in a line, and is an answer.
            works = good or (form.if_any and len(said) == 1)
            for kind in ("all", *(("weekly",) if form.weekly else ())):
                counts[kind][1] += 1
                counts[kind][0] += works
            if not works:
                failed.append(f"  {line}: {said[0] if said else ''}")
        told = ", ".join(f"{kind} {a} of {b}" for kind, (a, b) in counts.items())
        print("\n".join([f"{dump}: {told}", *failed]))


if __name__ == "__main__":
    main()
