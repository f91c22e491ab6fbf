#!/bin/sh
# drgn 0.3.0: its crash commands struct and list refuse options before the last argument.
#   One would guess that "struct task_struct -x ADDRESS" and "list NAME.MEMBER -s MEMBER -h
#   ADDRESS" parse: crash takes options anywhere, and its own help has them so. "unrecognized
#   arguments" is the answer. Their optional arguments are taken as absent at the first option.
#   "tree", whose start is required, takes the same order.
# Matters: the commands are there for those who have crash's in their fingers and in their
#   scripts. With the options first, or last, they work.
# Needs: python3, pip, network. Exits 1 when it has changed.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m pip install -q --no-compile --target "$folder/lib" drgn==0.3.0
DRGN_DISABLE_PLUGINS='*' PYTHONPATH="$folder/lib" python3 - <<'EOT'
import drgn.commands._crash  # noqa: F401
from drgn.commands import CommandArgumentError
from drgn.commands._crash.common import CRASH_COMMAND_NAMESPACE

ADDRESS = "ffffffff82a1a940"


def parses(line):
    name, *arguments = line.split()
    parser = CRASH_COMMAND_NAMESPACE._commands[name]._parser
    try:
        parser.parse_args(arguments)
    except CommandArgumentError as error:
        print("no :", line, "|", error)
        return False
    print("yes:", line)
    return True


between = [
    parses(f"struct task_struct -x {ADDRESS}"),
    parses(f"list task_struct.tasks -s task_struct.pid -h {ADDRESS}"),
]
others = [
    parses(f"struct -x task_struct {ADDRESS}"),
    parses(f"struct task_struct {ADDRESS} -x"),
    parses(f"list -s task_struct.pid -h task_struct.tasks {ADDRESS}"),
]
assert not any(between), "options in between parse now"
assert all(others)
EOT
