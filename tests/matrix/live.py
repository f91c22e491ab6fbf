"""
``python -m tests.matrix.live``: a live kernel, looked at from within and from without.

From within: btfdbg with the published wheels and Debian's own Python is aboard
of the guest and looks at its /proc/kcore. From without: through QEMU's monitor.
Either way its words are held against what /proc says at that moment.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import btfdbg
from btfdbg.program.attach import attach
from btfdbg.program.open_dump import open_guest
from btfdbg.vmcore import open_qemu
from corefiles import early, manifest, python
from corefiles.build import Aboard, Builder
from corefiles.wish import Wish
from tests.matrix.checks import Row, check_session

WHEELS = ("drgn==0.3.0", "pyelftools", "prompt_toolkit", "wcwidth", "pygments", "zstandard", "lz4")
# Name of a fact and what is asked of btfdbg for it.
QUESTIONS = {
    "live_object": "-e 'print(prog[\"init_task\"].comm)'",
    "live_ps": "-x ps",
    "live_mod": "-x mod",
    "live_mount": "-x mount",
    "live_log": "-x log",
    "live_bt": "-x 'bt 1'",
}
_TRANSIENT = re.compile(r"(kworker|sleep|python3|sh$|cat$|init$|observer|awk|grep)")
Facts = dict[str, Any]


def aboard(builder: Builder, suite: str, arch: str) -> Aboard:
    """What a guest needs to look at itself."""
    archive = builder.archive(suite, arch)
    interpreter, version = python.interpreter(archive)
    own = python.packages([Path(btfdbg.__file__).parent])
    probes = {
        name: f"cd / && python3 -m btfdbg -k {words} 2>&1" for name, words in QUESTIONS.items()
    }
    # After the questions, so that what they looked at is older than what is compared.
    probes["stack_1"] = "cat /proc/1/stack"
    return Aboard((interpreter, python.wheels(archive, version, WHEELS), own), probes)


def from_within(builder: Builder, wish: Wish, out: Path, python_suite: str) -> dict[str, list[str]]:
    """Boot a guest that looks at itself; what differs, for each question."""
    with builder.live(wish, out, aboard(builder, python_suite, wish.arch)):
        entry = json.loads(manifest.entry_path(out).read_text())
    return compare(entry["facts"])


@contextmanager
def _guest(builder: Builder, wish: Wish, out: Path) -> Iterator[tuple[str, Facts]]:
    with builder.live(wish, out) as prepared:
        entry = json.loads(manifest.entry_path(out).read_text())
        yield str(prepared.guest.monitor), entry


def from_without(builder: Builder, wish: Wish, out: Path) -> Row:
    """Boot a guest and look at it through QEMU's monitor, with the checks that dumps get."""
    with _guest(builder, wish, out) as (monitor, entry):
        prog, info = open_qemu(monitor)
        row = Row(entry)
        check_session(attach(prog, None, info), row)
    return row


def in_early_boot(builder: Builder, wish: Wish, out: Path) -> list[str]:
    """Stop a guest before it wrote VMCOREINFO and look at it through QEMU's monitor."""
    wrong = []
    with early.stopped(builder, wish, early.WORDS, out) as guest:
        guest.hang_up()
        prog, info = open_guest(str(guest.monitor))
        session = attach(prog, None, info)
        if not prog["init_task"].comm.string_().startswith(b"swapper"):
            wrong.append(f"init_task is {prog['init_task'].comm}")
        if prog["system_state"].value_() >= prog.constant("SYSTEM_RUNNING").value_():
            wrong.append(f"the guest has booted: {prog['system_state']}")
        if not any("early boot" in note.what for note in session.notes):
            wrong.append("nothing says that VMCOREINFO was made")
    return wrong


def compare(facts: Facts) -> dict[str, list[str]]:
    """Hold what btfdbg said in the guest against what /proc said."""
    found = {
        "live_object": _object(facts),
        "live_ps": _ps(facts),
        "live_mod": _mod(facts),
        "live_mount": _mount(facts),
        "live_log": _log(facts),
        "live_bt": _bt(facts),
    }
    for name in QUESTIONS:
        if name not in facts:
            found[name] = ["no (whole) answer on the console"]
    return found


def _object(facts: Facts) -> list[str]:
    said = facts.get("live_object", [])
    return [] if said == ['(char [16])"swapper/0"'] else [*said[-5:], "is not swapper/0"]


def _ps(facts: Facts) -> list[str]:
    text = "\n".join(facts.get("live_ps", []))
    here = {int(m[1]): m[0] for m in re.finditer(r"(?m)^[ >]*(\d+) +(\d+) .*$", text)}
    wrong = [] if len(here) > 20 else [f"only {len(here)} tasks:", *text.splitlines()[-5:]]
    for task in facts["tasks"]:
        if _TRANSIENT.match(task["comm"]):
            continue
        line = here.get(task["pid"], "nothing")
        if task["comm"][:10] not in line:
            wrong.append(f"/proc has {task['pid']} {task['comm']}, btfdbg {line}")
    return wrong


def _mod(facts: Facts) -> list[str]:
    lines = facts.get("live_mod", [])
    wrong = []
    for module in facts["modules"]:
        own = [line for line in lines if re.search(rf"\b{re.escape(module['name'])}\b", line)]
        if not own or not any(module["address"].removeprefix("0x") in line for line in own):
            wrong.append(f"/proc has {module['name']} at {module['address']}, btfdbg {own}")
    return wrong


def _mount(facts: Facts) -> list[str]:
    text = "\n".join(facts.get("live_mount", []))
    return [
        f"{m['target']} ({m['type']}) is not shown"
        for m in facts["mounts"]
        if not re.search(rf"(?m)\b{re.escape(m['type'])}\b.*{re.escape(m['target'])}", text)
    ]


def _log(facts: Facts) -> list[str]:
    said = iter([re.sub(r"^\[ *[\d.]+\] ?", "", line) for line in facts.get("live_log", [])])
    wanted = [re.sub(r"^\[ *[\d.]+\] ?", "", line) for line in facts["dmesg"]]
    return [f"not said, in order: {line}" for line in wanted if line not in said][:3]


def _bt(facts: Facts) -> list[str]:
    """Every frame that /proc/1/stack has must be there, in order."""
    said = facts.get("live_bt", [])
    frames = iter(said)
    wanted = [m[1] for line in facts.get("stack_1", []) if (m := re.search(r"\] (\w+)", line))]
    wrong = [] if len(wanted) > 2 else [f"/proc/1/stack has {len(wanted)} frames"]
    missing = [name for name in wanted if not any(name in line for line in frames)]
    return wrong + ([f"without {missing}:", *said] if missing else [])


def main() -> int:
    """Boot, look and compare; exit 1 if anything differs."""
    parser = argparse.ArgumentParser(prog="python -m tests.matrix.live", description=__doc__)
    parser.add_argument("way", choices=("kcore", "qemu", "early", "drgn-tests"))
    parser.add_argument("--cache", type=Path, required=True, help="as of python -m corefiles")
    parser.add_argument("--lock", type=Path, help="as of python -m corefiles")
    parser.add_argument("--suite", default="trixie")
    parser.add_argument("--python-suite", default="trixie", help="where the guest's Python is from")
    parser.add_argument("--arch", default="amd64")
    parser.add_argument("--release")
    parser.add_argument("--memory", type=int, default=1024)
    parser.add_argument("--no-vmcoreinfo", action="store_true")
    parser.add_argument("--timeout", type=float, default=3600, help="seconds for the guest")
    parser.add_argument("--drgn-source", type=Path, help="drgn's source distribution, unpacked")
    parser.add_argument("--debug", type=Path, help="vmlinux and modules with DWARF, for drgn-tests")
    parser.add_argument("--only", choices=("dwarf", "btfdbg"), help="of drgn-tests: only this way")
    parser.add_argument("-o", "--output", type=Path, required=True, help="path without suffix")
    args = parser.parse_args()
    builder = Builder(args.cache.resolve(), lambda text: print(text, file=sys.stderr), args.lock)
    wish = Wish(
        args.suite, args.arch, "sysrq-panic", (), release=args.release, memory=args.memory,
        vmcoreinfo=not args.no_vmcoreinfo, timeout=args.timeout,
    )  # fmt: skip
    if args.way == "drgn-tests":
        # Here, for it takes root_disk from a module that takes WHEELS from this one.
        from tests.matrix import drgn_tests

        return drgn_tests.main(
            builder, wish, args.drgn_source, args.debug, args.output.resolve(), args.only
        )
    start = time.monotonic()
    if args.way == "early":
        problems = {"early boot": in_early_boot(builder, wish, args.output.resolve())}
    elif args.way == "kcore":
        problems = from_within(builder, wish, args.output.resolve(), args.python_suite)
    else:
        row = from_without(builder, wish, args.output.resolve())
        problems = row.problems
        print(f"stacks: {row.unwound} of {row.tasks}")
    for name, wrong in problems.items():
        print(f"{name}: {'yes' if not wrong else f'{len(wrong)} differ'}")
        for line in wrong[:8]:
            print(f"    {line}")
    print(f"{time.monotonic() - start:.0f} s")
    return int(any(problems.values()))


if __name__ == "__main__":
    sys.exit(main())
