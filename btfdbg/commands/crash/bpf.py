"""``bpf -P`` and ``-M``: what drgn's ``-p ID`` and ``-m ID`` say, of every program and map.

Owns the walk over the ids. What is said of each is drgn's.

Facts: crash 9's help page of ``bpf``; ``kernel/bpf/syscall.c`` (prog_idr and map_idr).
"""

from __future__ import annotations

from itertools import islice

from drgn.commands import CommandError

from btfdbg.commands.crash.another import run_line
from btfdbg.commands.crash.call import Call

_MAX_IDS = 1 << 20


def every(call: Call) -> None:
    """Programs, maps, or both, one after the other."""
    from drgn.helpers.linux.bpf import bpf_map_for_each, bpf_prog_for_each

    if call.args.prog_id is not None or call.args.map_id is not None:
        raise CommandError("-P and -M are about all of them; type -p ID or -m ID alone for one")
    given = [("-s", call.args.show_struct), ("-x", call.args.integer_base == 16)]
    words = [flag for flag, is_given in (*given, ("-d", call.args.integer_base == 10)) if is_given]
    if call.has("-P"):
        found = [
            program.aux.id.value_() for program in islice(bpf_prog_for_each(call.prog), _MAX_IDS)
        ]
        _each(call, "-p", found, words, "programs")
    if call.has("-M"):
        found = [map_.id.value_() for map_ in islice(bpf_map_for_each(call.prog), _MAX_IDS)]
        _each(call, "-m", found, words, "maps")


def _each(call: Call, flag: str, ids: list[int], words: list[str], what: str) -> None:
    if not ids:
        print(f"no BPF {what} are loaded")
    for number, one in enumerate(ids):
        if number:
            print()
        run_line(call.prog, "bpf", [flag, str(one), *words])
