"""
``python -m corefiles``: build dumps, fetch debug information, bundle.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from . import early, kernels, manifest, own, series
from .build import Builder
from .kernels import FLAVOURS
from .run import BuildError
from .scenarios import SCENARIOS
from .wish import HOWS, Wish


def _default_cache() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "btfdbg-corefiles"


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m corefiles", description=__doc__)
    parser.add_argument("--cache", type=Path, default=_default_cache())
    parser.add_argument("--lock", type=Path, help="file to lock while a guest runs")
    commands = parser.add_subparsers(dest="command", required=True)

    kernel = argparse.ArgumentParser(add_help=False)
    kernel.add_argument("--suite", default="trixie", help="Debian codename")
    kernel.add_argument("--arch", default="amd64", choices=list(FLAVOURS))
    kernel.add_argument(
        "--flavour",
        default="cloud",
        help=f"cloud, full, rt, 16k, 64k or Debian's; {own.PREFIX}{{{','.join(own.RECIPES)}}}",
    )
    kernel.add_argument("--release", help="as uname -r says it; the suite's newest by default")

    guest = argparse.ArgumentParser(add_help=False, parents=[kernel])
    guest.add_argument("--memory", type=int, help="MiB")
    guest.add_argument("--cpus", type=int, default=2)
    guest.add_argument(
        "--no-vmcoreinfo",
        action="store_true",
        help="QEMU does not learn where the guest's VMCOREINFO is",
    )
    guest.add_argument("--cpu", help="QEMU's processor model, such as max,la57=off")
    guest.add_argument("--append", default="", help="for the kernel's command line")
    guest.add_argument("--timeout", type=float, default=600, help="seconds to wait for the end")
    guest.add_argument("-o", "--output", type=Path, required=True, help="path without suffix")

    build = commands.add_parser("build", parents=[guest], help="boot, crash and dump")
    build.add_argument("--tools-suite", help="where kexec and makedumpfile come from")
    live = commands.add_parser(
        "live", parents=[guest], help="boot, print the monitor's socket, stay until stdin ends"
    )
    for each in (build, live):
        each.add_argument("--scenario", default="sysrq-panic", choices=list(SCENARIOS))
    series = commands.add_parser(
        "series", parents=[guest], help="boot once, and crash in each of several ways"
    )
    series.add_argument("--scenario", action="append", choices=list(SCENARIOS), required=True)
    early_boot = commands.add_parser(
        "early", parents=[guest], help="boot, and dump before the kernel wrote VMCOREINFO"
    )
    early_boot.add_argument(
        "--words", default=early.WORDS, help="regular expression; stop when the console has it"
    )
    for each in (build, series, early_boot):
        each.add_argument("--how", action="append", choices=HOWS, help="kind; may be repeated")

    debug = commands.add_parser(
        "debug", parents=[kernel], help="fetch vmlinux and modules with DWARF"
    )
    debug.add_argument("-o", "--output", type=Path, required=True, help="folder to fill")

    bundle = commands.add_parser("bundle", help="add a dump in corefiles/ to the manifest")
    bundle.add_argument("dump", type=Path)
    bundle.add_argument("--entry-of", type=Path, required=True, help="dump that it was made from")
    return parser


def _debug(builder: Builder, options: argparse.Namespace) -> Path:
    if options.flavour.startswith(own.PREFIX):
        name = options.flavour.removeprefix(own.PREFIX)
        return own.copy_debug(builder.cache, name, options.output)
    archive = builder.archive(options.suite, options.arch)
    name = kernels.flavour_name(options.arch, options.flavour)
    release = options.release or kernels.newest_release(archive, name)
    return kernels.unpack_debug(archive, release, options.output)


def _wish(options: argparse.Namespace, scenario: str) -> Wish:
    live = options.command == "live"
    return Wish(
        options.suite,
        options.arch,
        scenario,
        () if live else tuple(options.how or ["qemu-elf"]),
        options.flavour,
        options.release,
        options.memory,
        getattr(options, "tools_suite", None),
        options.timeout,
        options.cpu,
        options.append,
        options.cpus,
        not options.no_vmcoreinfo,
    )


def _run(builder: Builder, options: argparse.Namespace) -> None:
    if options.command == "debug":
        print(_debug(builder, options))
        return
    out = options.output.resolve()
    if options.command == "series":
        wishes = [_wish(options, name) for name in options.scenario]
        made = dict(series.build(builder, wishes, out))
        for dumps in made.values():
            for dump in dumps:
                print(dump)
        failed = [name for name, dumps in made.items() if not dumps]
        if failed:
            raise BuildError(f"no dump of {', '.join(failed)}")
        return
    if options.command == "early":
        for dump in early.build(builder, _wish(options, "snapshot"), options.words, out):
            print(dump)
        return
    wish = _wish(options, options.scenario)
    if options.command == "live":
        with builder.live(wish, out) as prepared:
            print(prepared.guest.monitor, flush=True)
            sys.stdin.read()
        return
    for dump in builder.build(wish, out):
        print(dump)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; 0 when done, 1 when a step failed."""
    options = _arguments().parse_args(argv)
    try:
        if options.command == "bundle":
            manifest.bundle(options.dump, manifest.read_entry(options.entry_of))
            return 0
        builder = Builder(
            options.cache.resolve(), lambda text: print(text, file=sys.stderr), options.lock
        )
        _run(builder, options)
    except BuildError as error:
        print(f"corefiles: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
