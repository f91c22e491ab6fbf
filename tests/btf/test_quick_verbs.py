"""Command lines of verbs read without argparse mean what argparse makes of them."""

from __future__ import annotations

import argparse
import contextlib
import io
import subprocess
import sys
import weakref
from pathlib import Path

import pytest

from btfdbg.btf import layouts
from btfdbg.btf.format import Kind
from btfdbg.btf.text.assemble import assemble
from btfdbg.cli import btf as btftool
from btfdbg.cli.btf.common import keep_until_the_end
from btfdbg.cli.btf.verbs import VERBS, verb_module
from btfdbg.cli.reader import read
from tests.btf.samples import INT_BLOB

USUAL = (
    "dump f",
    "dump -",
    "dump f -f c",
    "dump -f c f -o out --assertions",
    "dump --format=json f --base a -B b -o -",
    "dump f -f c -f raw",
    "dump f -fc",
    "dump f --base=",
    "assemble t -o out",
    "check f -l basic --json",
    "dedup f -B a -v -o out",
    "distill f -B a -o out --output-base base",
    "distill f --into ko --base=a",
    "relocate f -B a -t b -t c -o out --compat libbpf",
    "relocate f -t b --rebase --into ko",
    "diff a b --json --name x* -B c",
    "offset f struct d_name.len --bits",
    "isf f --symbols s --banner b",
    "embed ko --btf f --no-distilled-base -o out",
)
LEFT_TO_ARGPARSE = (
    "dump",
    "dump f g",
    "dump --help",
    "dump f -f",
    "dump f -f yaml",
    "dump f --form c",
    "dump f -o --exact",
    "dump f --exact=1",
    "dump f -x",
    "dump -- f",
    "dump f -o -1",
    "relocate f",
    "relocate f -t",
    "merge a b -B c -o out",
    "convert f -o out --sort",
    "find f list_head",
    "minimize k m o -o out",
)

# Names that are keywords since C23, an enum that is only declared, and one with a sign.
OF_EVERY_KERNEL = """[1] INT '_Bool' size=1 bits_offset=0 nr_bits=8 encoding=BOOL
[2] TYPEDEF 'bool' type_id=1
[3] ENUM '(anon)' encoding=UNSIGNED size=4 vlen=2
\t'false' val=0
\t'true' val=1
[4] ENUM 'declared' encoding=UNSIGNED size=4 vlen=0
[5] ENUM '(anon)' encoding=SIGNED size=4 vlen=1
\t'MINUS' val=-1
[6] PTR '(anon)' type_id=4
"""


def parsed(words: list[str]) -> dict[str, object] | None:
    """What argparse makes of them, the verb left out; nothing if it refuses them."""
    parser = argparse.ArgumentParser(prog="btfdbg btf")
    btftool.add_arguments(parser)
    with contextlib.redirect_stderr(io.StringIO()), contextlib.redirect_stdout(io.StringIO()):
        try:
            found = vars(parser.parse_args(words))
        except SystemExit:
            return None
    return {name: value for name, value in found.items() if name not in ("verb", "run_verb")}


@pytest.mark.parametrize("line", USUAL)
def test_a_usual_command_line_means_what_argparse_says(line: str) -> None:
    verb, *words = line.split()
    found = read(verb_module(verb).add_arguments, words)
    assert found is not None
    assert vars(found) == parsed([verb, *words])


@pytest.mark.parametrize("line", LEFT_TO_ARGPARSE)
def test_any_other_command_line_is_left_to_argparse(line: str) -> None:
    verb, *words = line.split()
    assert read(verb_module(verb).add_arguments, words) is None


@pytest.mark.parametrize("verb", sorted(VERBS))
def test_arguments_in_any_order_mean_what_argparse_says(verb: str) -> None:
    # Whatever the quick reading accepts argparse accepts too, and sees the same in it.
    tokens = ("f", "-o", "out", "--json", "-B", "--min", "3", "-", "--bits", "basic")
    for first in tokens:
        for second in tokens:
            for third in ("", *tokens):
                words = [word for word in (first, second, third) if word]
                found = read(verb_module(verb).add_arguments, words)
                if found is not None:
                    assert vars(found) == parsed([verb, *words]), words


@pytest.mark.parametrize("blob", [INT_BLOB, assemble(OF_EVERY_KERNEL)])
def test_a_usual_command_line_imports_no_more_than_its_verb_needs(
    blob: bytes, tmp_path: Path
) -> None:
    source = tmp_path / "small.btf"
    source.write_bytes(blob)
    out = tmp_path / "small.h"
    needless = ("argparse", "enum", "logging", "typing", "drgn", "btfdbg.btf.kinds")
    code = (
        "import sys\nfrom btfdbg.cli import main as cli\n"
        f"status = cli.main(['btf', 'dump', '-f', 'c', {str(source)!r}, '-o', {str(out)!r}])\n"
        f"print(status, [m for m in {needless!r} if m in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "0 []"


def test_kinds_have_the_names_and_numbers_of_their_rows() -> None:
    assert [kind.name for kind in Kind] == list(layouts.KIND_NAMES)
    for number, name in enumerate(layouts.KIND_NAMES):
        assert getattr(layouts, name) == number == Kind[name]
        assert layouts.kind_name(number) == name
    assert layouts.kind_name(len(layouts.KIND_NAMES)) == f"KIND_{len(layouts.KIND_NAMES)}"


def test_of_what_is_kept_until_the_end_the_last_one_stays() -> None:
    """Who calls main() time and again is not to hold all bases that there were."""
    first, last = Pinned(), Pinned()
    refs = [weakref.ref(first), weakref.ref(last)]
    keep_until_the_end(first)
    keep_until_the_end(last)
    del first, last
    assert [ref() is None for ref in refs] == [True, False]


class Pinned:
    pass
