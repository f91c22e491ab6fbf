"""drgn's own tests of a live kernel, with DWARF and with btfdbg's types: which differ, and why.

The tests come with drgn's source distribution at the release of the wheel and stay where
they are; a disk with them, Debian's Python, the wheel and btfdbg is made, and a guest for
each way runs them. The outcomes stay beside OUT, so a way can be run alone and compared with
what the other one left.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import btfdbg
from btfdbg.errors import DebugInfoError
from corefiles import initramfs, kbuild, python, vmlinux
from corefiles.build import Aboard, Builder
from corefiles.initramfs import Program
from corefiles.run import BuildError
from corefiles.wish import Wish
from tests.matrix import drgn_runner
from tests.matrix.crash_kernel import collected, root_disk

WHEELS = ("drgn==0.3.0", "pyelftools", "zstandard", "lz4")
WAYS = ("dwarf", "btfdbg")
_DISK = 1536 << 20
_MEMORY = 3072
# Modules whose DWARF drgn's tests need.
_MODULES = ("loop",)
_SHELL = """
mount -t ext4 /dev/vda /mnt
for name in proc sys dev; do mount -o bind /$name /mnt/$name; done
mkdir -p /mnt/usr/lib/modules /mnt/dev/shm /mnt/etc
mount -t tmpfs shm /mnt/dev/shm
echo 127.0.0.1 localhost > /mnt/etc/hosts
mount -o bind /lib/modules /mnt/usr/lib/modules
for name in sh modprobe losetup mount umount swapon swapoff mkswap ip; do
    ln -s busybox /mnt/usr/bin/$name
done
insmod /mnt/drgn/drgn_test.ko || echo drgn_test is not loaded
for attempt in 1 2 3 4 5 6 7 8; do
    chroot /mnt /usr/bin/python3 /drgn/runner.py {way} /drgn 2>> /mnt/out/{way}.log
    [ $? = 1 ] && break
done
cp /mnt/drgn/out/*.jsonl /mnt/out/
sync
mount -o remount,ro /mnt
"""
Outcomes = dict[str, tuple[str, str]]


def run(
    builder: Builder, wish: Wish, source: Path, debug: Path, out: Path, ways: Sequence[str] = WAYS
) -> None:
    """
    Run the tests, for each way in a guest of its own.

    :param source: drgn's source distribution, unpacked.
    :param debug: Folder with the kernel's vmlinux and modules with DWARF.
    :param out: Path without suffix; :func:`results` of it gets the outcomes.
    :raises BuildError: a guest could not run them.
    """
    if not (source / "tests/linux_kernel/kmod").is_dir():
        raise BuildError(f"{source} is not drgn's source distribution: no tests/linux_kernel/kmod")
    archive = builder.archive(wish.suite, wish.arch)
    kernel = builder.kernel(wish)
    interpreter, version = python.interpreter(archive)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        elf = vmlinux.with_btf(kernel.image, folder / "vmlinux")
        if elf is None:
            raise BuildError(f"{kernel.image}: no BTF in it")
        shutil.copytree(source / "tests/linux_kernel/kmod", folder / "drgn_test")
        built = kbuild.build_module(kernel, archive, folder / "drgn_test", elf)
        module = folder / "drgn_test.ko"
        shutil.copyfile(built, module)
        extra = folder / "drgn_test.btf-extra"
        command = f"-m btfdbg btf encode-vars --base {elf} --base {module} {module} -o {extra}"
        subprocess.run([sys.executable, *command.split()], check=True)
        files = {
            "drgn/drgn_test.ko": module,
            "drgn/drgn_test.btf-extra": extra,
            "drgn/runner.py": Path(drgn_runner.__file__),
            "drgn/util.py": source / "util.py",
            "drgn/out/.keep": Path(drgn_runner.__file__),
            "usr/bin/busybox": initramfs.busybox(archive),
            "sys/.keep": Path(drgn_runner.__file__),
        }
        for part in ("tests", "tools"):
            for path in (source / part).rglob("*.py"):
                files[f"drgn/{path.relative_to(source).as_posix()}"] = path
        wheels = python.wheels(archive, version, WHEELS)
        own = python.packages([Path(btfdbg.__file__).parent])
        for way in ways:
            # Only there, so that nothing of btfdbg's can have it from DWARF.
            info = _with_dwarf(debug) if way == "dwarf" else {}
            disk = folder / f"disk-{way}"
            root_disk(disk, (interpreter, wheels, own, Program({**files, **info})), _DISK)
            shell = _SHELL.replace("{way}", way)
            aboard = Aboard(probes={"drgn_tests": shell}, disks={"root": disk})
            with builder.live(replace(wish, memory=_MEMORY), out, aboard):
                pass
            collected(disk, results(out, way).parent)
            disk.unlink()


def _with_dwarf(debug: Path) -> dict[str, Path]:
    """Files with DWARF, by their names in the guest."""
    found = {"drgn/dwarf/vmlinux": debug / "vmlinux"}
    for word in _MODULES:
        for path in (debug / "modules").rglob(f"{word}.ko"):
            found[f"drgn/dwarf/{path.name}"] = path
    return found


def results(out: Path, way: str) -> Path:
    """Where the outcomes of a way are left."""
    return out.with_name(f"{out.name}-{way}") / f"{way}.jsonl"


def read(path: Path) -> Outcomes:
    """
    The outcomes that the guest wrote.

    :raises BuildError: there are none.
    """
    if not path.exists():
        log = path.with_suffix(".log")
        end = log.read_text(errors="replace")[-2000:] if log.exists() else ""
        raise BuildError(f"no test ran with {path.stem}:\n{end}")
    found: Outcomes = {}
    for line in path.read_text().splitlines():
        row = json.loads(line)
        known = found.get(row["test"], ("", ""))[0]
        # A test with several subtests keeps its first failure.
        if known not in ("failed", "error"):
            found[row["test"]] = (row["outcome"], row.get("why", ""))
    return found


# Why a test may differ without a fault of btfdbg's: what BTF and kallsyms do not have.
NEEDS_DWARF = (
    ("line tables", r"source code location|drgn_test\\*\.c|'schedule at '"),
    ("locals", r"test_variables|test_local"),
    ("a file of debug info", r"debug_file|test_debug_info\.py|MissingDebugInfo"),
)


def needs(why: str) -> str:
    """What of DWARF a failure is about, "" if that is not known."""
    return next((kind for kind, pattern in NEEDS_DWARF if re.search(pattern, why)), "")


def reason(why: str) -> str:
    """The last line of a failure, and of which kind it is if that is known."""
    last = why.strip().splitlines()[-1] if why.strip() else ""
    kind = needs(why)
    return f"{last} ({kind})" if kind else last


def differing(found: dict[str, Outcomes]) -> list[tuple[str, str, str, str]]:
    """Tests that differ, first those that only DWARF passes: name, both outcomes, why."""
    dwarf, ours = (found[way] for way in WAYS)
    rows = []
    for test in sorted(set(dwarf) | set(ours)):
        first, second = dwarf.get(test, ("not run", "")), ours.get(test, ("not run", ""))
        if first[0] != second[0]:
            why = second[1] if second[0] != "passed" else first[1]
            rows.append((test.removeprefix("tests.linux_kernel."), first[0], second[0], why))
    return sorted(rows, key=lambda row: (row[1] != "passed", row))


def compare(found: dict[str, Outcomes]) -> list[str]:
    """Lines about the tests that differ."""
    return [
        f"{name}: dwarf {first}, btfdbg {second}: {reason(why)}"
        for name, first, second, why in differing(found)
    ]


def document(found: dict[str, Outcomes], kernel: str) -> str:
    """docs/drgn-tests.md."""
    lines = [
        "# drgn's own tests, with DWARF and with btfdbg's types",
        "",
        "Made by `python -m tests.matrix.drgn_tests OUT KERNEL > docs/drgn-tests.md` out of what",
        "`python -m tests.matrix.live drgn-tests --drgn-source F --debug F --cache F -o OUT` left:",
        "the tests of a live kernel in drgn's source distribution, those of /proc/vmcore left out,",
        f"in a guest with {kernel}.",
        "Both ways fail where a test wants what the guest does not have: a root that is no chroot,",
        "tracefs, pyroute2, a disk to swap on.",
        "",
        "| types | passed | skipped | failed | error |",
        "|---|---|---|---|---|",
    ]
    for way in WAYS:
        counts = Counter(outcome for outcome, _ in found[way].values())
        cells = " | ".join(str(counts[name]) for name in ("passed", "skipped", "failed", "error"))
        lines.append(f"| {way} | {cells} |")
    lines += ["", "Those that differ, and what of DWARF's they ask for:", ""]
    lines += ["| test | dwarf | btfdbg | asks for |", "|---|---|---|---|"]
    for name, first, second, why in differing(found):
        lines.append(f"| `{name}` | {first} | {second} | {needs(why) or '**nothing**'} |")
    return "\n".join(lines)


def summary(found: dict[str, Outcomes]) -> str:
    """How many tests had which outcome, for each way."""
    rows = []
    for way in WAYS:
        counts = Counter(outcome for outcome, _ in found[way].values())
        rows.append(f"{way}: " + ", ".join(f"{n} {name}" for name, n in counts.most_common()))
    return "\n".join(rows)


def main(
    builder: Builder,
    wish: Wish,
    source: Path | None,
    debug: Path | None,
    out: Path,
    way: str | None = None,
) -> int:
    """
    Run, compare and print; 1 if a test differs.

    :param way: the only one to run; what the other left is compared.
    """
    if source is None or debug is None:
        raise DebugInfoError("drgn-tests takes --drgn-source FOLDER and --debug FOLDER")
    run(builder, wish, source.resolve(), debug.resolve(), out, WAYS if way is None else (way,))
    found = {name: read(results(out, name)) for name in WAYS}
    lines = compare(found)
    print(summary(found))
    print(f"{len(lines)} tests differ")
    for line in lines:
        print(f"    {line}")
    return int(bool(lines))


if __name__ == "__main__":
    made = Path(sys.argv[1])
    print(document({way: read(results(made, way)) for way in WAYS}, sys.argv[2]))
