"""``btfdbg btf check``: every rule that a BTF breaks.

basic   what libbpf demands before it works with a BTF
strict  what the newest kernel's verifier demands of a BTF that is loaded into it; of a
        BPF object, as libbpf completes it first (sizes, offsets, externs). It may say
        more than one kernel would: all rules are tried, and older kernels have fewer
kernel  what the kernel demands of its own BTF and its modules': strict without the rules
        that need several types together

Each broken rule is one line: type, kind, place in the file, rule, what was found.
Exit status 0: none, 1: some, 2: FILE cannot be read.
"""

from __future__ import annotations

from btfdbg.btf.base_match import of_strings
from btfdbg.btf.btf import Btf
from btfdbg.btf.validate.problem import Problem
from btfdbg.btf.validate.validate import check
from btfdbg.cli.btf.common import add_file, open_base, read_bytes, read_file, wrong_base
from btfdbg.errors import BtfError

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_file(parser)
    parser.add_argument("-l", "--level", choices=("basic", "strict", "kernel"), default="strict")
    parser.add_argument("--json", action="store_true", help="a list of objects instead of lines")


def run(args: argparse.Namespace) -> int:
    data, base = read_file(args.file, open_base(args.base, force=args.force))
    if args.base and not args.force:
        _require_own_base(args.file, data, base)
    _remark(data, base)
    data = _as_loaded(args.file, data) if args.level == "strict" and base is None else data
    problems = check(data, base, args.level)
    if args.json:
        return _print_json(list(problems))
    status = 0
    for problem in problems:
        print(problem)
        status = 1
    return status


def _require_own_base(path: str, data: memoryview | bytes, base: Btf | None) -> None:
    """On another base all rules would be about what is not there."""
    try:
        problem = of_strings(Btf.parse(data, base))
    except BtfError:
        return  # the rules say what is wrong with it
    if problem:
        raise wrong_base(path, problem)


def _as_loaded(path: str, data: memoryview | bytes) -> memoryview | bytes:
    """Return what a loader makes of a BPF object's BTF; other BTF as it is."""
    from btfdbg.btf.loader import as_loaded
    from btfdbg.images import elf, read_head

    if not elf.is_bpf_object(read_head(path)):
        return data
    try:
        btf = Btf.parse(data)
    except BtfError:
        return data  # the rules say what is wrong with it
    _remark_unlinked(btf)
    return as_loaded(btf, elf.facts_of_object(read_bytes(path)))


def _remark_unlinked(btf: Btf) -> None:
    """Say on stderr that an object is a part of one; the rules are broken by what is missing."""
    import sys

    from btfdbg.btf.loader import unlinked

    try:
        names = unlinked(btf)
    except BtfError:
        return  # the rules say what is wrong with it
    if names:
        more = f" and {len(names) - 1} more" if len(names) > 1 else ""
        print(
            f"btfdbg: {names[0]}{more}: extern, and not of the kernel: another object has it;"
            " link them (bpftool gen object), then check the result",
            file=sys.stderr,
        )


def _remark(data: memoryview | bytes, base: Btf | None) -> None:
    """Say on stderr what no rule is about: signs and values that the encoder left out."""
    import sys

    from btfdbg.btf.encoder import remarks

    try:
        for remark in remarks(Btf.parse(data, base)):
            print(f"btfdbg: {remark}", file=sys.stderr)
    except BtfError:
        pass  # the rules say what is wrong with it


def _print_json(problems: list[Problem]) -> int:
    import json

    print(json.dumps([problem._asdict() for problem in problems], indent=1))
    return 1 if problems else 0
