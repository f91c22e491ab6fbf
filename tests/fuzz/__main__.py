"""``python -m tests.fuzz``: make small dumps, run mutants of them, look at one again."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

from tests.fuzz.campaign import Bench, Campaign, chunks, summary


def main() -> int:
    """Command line; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True)
    make = verbs.add_parser(
        "make", help="trim CORE to a small dump; OUT.elf, .lime, .raw, .own, .flat or .kdump"
    )
    make.add_argument("core", type=Path)
    make.add_argument("out", type=Path)
    dumps = verbs.add_parser("dumps", help="run mutants; goes on where the log ends")
    dumps.add_argument("base", type=Path, nargs="+")
    dumps.add_argument("--log", type=Path, required=True)
    dumps.add_argument("--seed", default="1")
    dumps.add_argument("--count", type=int, default=200)
    dumps.add_argument("--chunk", type=int, default=200)
    dumps.add_argument("--jobs", type=int, default=1)
    dumps.add_argument("--nice", type=int, default=10)
    dumps.add_argument("--code", help="name of the code that runs, for the log; else git's")
    dumps.add_argument("--opened-share", type=float, default=0.0)
    show = verbs.add_parser("summary", help="what a log says")
    show.add_argument("log", type=Path)
    again = verbs.add_parser("again", help="run one mutant and say what it does")
    again.add_argument("base", type=Path)
    again.add_argument("number", type=int)
    again.add_argument("--seed", default="1")
    again.add_argument("--opened-share", type=float, default=0.0)
    again.add_argument("--keep", type=Path, help="save the mutated dump here")
    args = parser.parse_args()
    if args.verb == "make":
        from tests.fuzz.smalldump import make_small

        make_small(args.core, args.out)
    elif args.verb == "summary":
        print(summary(args.log))
    elif args.verb == "again":
        return _again(args)
    else:
        os.nice(args.nice)
        campaign = Campaign(
            args.log,
            args.seed,
            jobs=args.jobs,
            opened_share=args.opened_share,
            code=args.code or _commit(),
        )
        campaign.run(chunks(args.base, args.count, args.chunk))
        print(summary(args.log))
    return 0


def _again(args: argparse.Namespace) -> int:
    bench = Bench(args.base, args.seed, args.opened_share)
    try:
        edit = bench.edit(args.number)
        print(edit.what)
        outcome, _ = bench.run(edit, args.number, keep=True)
        for phase, text in outcome.texts.items():
            if phase in outcome.changed:
                print(f"=== {phase} ({outcome.seconds[phase]:.2f} s)\n{text}")
        print("unaffected:", sorted(bench.unaffected(edit)))
        print("errors:", outcome.errors)
        print("\n".join(outcome.defects) or "no defect")
        if args.keep is not None:
            from tests.fuzz.dumpfile import Applied, copy_sparse

            copy_sparse(args.base, args.keep)
            Applied(args.keep, edit)
        return 1 if outcome.defects else 0
    finally:
        bench.close()


def _commit() -> str:
    try:
        done = subprocess.run(
            ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return ""
    return done.stdout.strip()


if __name__ == "__main__":
    sys.exit(main())
