"""
``python -m tests.matrix.crash_kernel``: ``btfdbg collect`` in a real crash kernel.

A guest panics, its crash kernel mounts a disk with Debian's Python, the published wheels and
btfdbg, collects from /proc/vmcore onto that disk, and then runs makedumpfile for the full
dump. Printed are the peak of memory, seconds, and bytes beside the full dump's.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import btfdbg
from corefiles import kdump, python
from corefiles.build import Aboard, Builder, work_folder
from corefiles.initramfs import Program
from corefiles.wish import Wish
from tests.matrix.live import WHEELS

_DISK = 512 << 20
_MODULES = ("crc32c_generic", "ext4")
_MAIN = "import sys; from btfdbg.cli.main import main; sys.exit(main())"
# While it works the least free memory is noted, twice a second.
SCRIPT = """
mkdir -p /mnt
mount -t ext4 /dev/vdb /mnt || echo '@@@ no disk'
mount -o bind /proc /mnt/proc
mount -o bind /dev /mnt/dev
grep -E 'MemTotal|MemAvailable' /proc/meminfo | sed 's/^/@@@ before /'
( while :; do grep MemAvailable /proc/meminfo; usleep 500000; done ) > /tmp/free &
watcher=$!
chroot /mnt /usr/bin/python3 -c '{main}' collect /proc/vmcore /out {options} \
    && echo '@@@ collected' || echo '@@@ collect failed'
kill $watcher
sort -k2 -n /tmp/free | head -1 | sed 's/^/@@@ least /'
sed 's/^/@@@ json /' /mnt/out/collect.json
umount /mnt/proc /mnt/dev
umount /mnt
"""


def root_disk(image: Path, programs: Iterable[Program], size: int = _DISK) -> None:
    """Make an ext4 file system of so many bytes with programs in it."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        for name in ("proc", "dev", "tmp", "out", "usr/bin", "usr/lib", "usr/lib64"):
            (root / name).mkdir(parents=True, exist_ok=True)
        for name in ("bin", "lib", "lib64"):
            (root / name).symlink_to(f"usr/{name}")
        for each in programs:
            for name, path in each.files.items():
                target = root / name
                target.parent.mkdir(parents=True, exist_ok=True)
                if not target.exists():
                    shutil.copyfile(path, target)
                    target.chmod(0o755)
        newest = sorted((root / "usr/bin").glob("python3.*"))[-1]
        if not (root / "usr/bin/python3").exists():
            (root / "usr/bin/python3").symlink_to(newest.name)
        with image.open("wb") as file:
            file.truncate(size)
        subprocess.run(["mke2fs", "-q", "-t", "ext4", "-d", root, image], check=True)


def collected(image: Path, out: Path) -> None:
    """Take /out from the disk."""
    shutil.rmtree(out, ignore_errors=True)
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["debugfs", "-R", f"rdump /out {folder}", image], check=True,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # fmt: skip
        shutil.copytree(Path(folder) / "out", out)


def run(
    builder: Builder, wish: Wish, out: Path, errand_memory: int, options: str
) -> dict[str, Any]:
    """
    Boot, crash and collect.

    :param out: Folder for what was collected.
    :return: Figures.
    """
    archive = builder.archive(wish.suite, wish.arch)
    interpreter, version = python.interpreter(archive)
    wheels = python.wheels(archive, version, (*WHEELS, "jinja2", "markupsafe", "capstone"))
    own = python.packages([Path(btfdbg.__file__).parent])
    scenario = wish.check()
    kernel = builder.kernel(wish)
    script = SCRIPT.format(main=_MAIN, options=options)
    with work_folder(out) as work:
        disk = work / "root"
        root_disk(disk, (interpreter, wheels, own))
        aboard = Aboard(errand=kdump.Errand(script, _MODULES, errand_memory), disks={"root": disk})
        prepared = builder.prepare(wish, kernel, scenario, wish.by_kdump, work, aboard)
        start = time.monotonic()
        with builder.alone(), prepared.guest as guest:
            try:
                dumps = builder.finish(wish, prepared, scenario, out, wish.by_kdump)
            finally:
                console = guest.console()
                Path(f"{out}.console").write_text(console, errors="replace")
        collected(disk, out)
    found: dict[str, Any] = {"memory_mib": prepared.guest.memory, "kernel": kernel.release}
    found["boot_to_end_seconds"] = round(time.monotonic() - start)
    for words, key in (("before MemTotal", "crash_total_kib"), ("least MemAvailable", "least_kib"),
                       ("before MemAvailable", "crash_free_kib")):  # fmt: skip
        match = re.search(rf"@@@ {words}: +(\d+) kB", console)
        found[key] = int(match[1]) if match else None
    summary = json.loads((out / "collect.json").read_text())
    for name in ("files", "problems", "seconds", "peak_kib", "steps"):
        found[name] = summary[name]
    found["core_bytes"] = summary["core_bytes"]
    found["bytes"] = sum(summary["files"].values())
    found["makedumpfile_bytes"] = dumps[0].stat().st_size
    found["share"] = round(found["bytes"] / found["makedumpfile_bytes"], 4)
    return found


def main() -> int:
    """Boot, crash, collect and print the figures as JSON."""
    parser = argparse.ArgumentParser(prog="python -m tests.matrix.crash_kernel")
    parser.add_argument("--cache", type=Path, required=True, help="as of python -m corefiles")
    parser.add_argument("--lock", type=Path)
    parser.add_argument("--suite", default="trixie")
    parser.add_argument("--arch", default="amd64")
    parser.add_argument("--scenario", default="null-deref")
    parser.add_argument("--memory", type=int, default=512)
    parser.add_argument("--crash-memory", type=int, default=192)
    parser.add_argument("--timeout", type=float, default=1800)
    parser.add_argument("--options", default="", help="for btfdbg collect")
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder")
    args = parser.parse_args()
    say = lambda text: print(text, file=sys.stderr)  # noqa: E731
    builder = Builder(args.cache.resolve(), say, args.lock)
    wish = Wish(
        args.suite, args.arch, args.scenario, ("kdump-zlib",), memory=args.memory,
        timeout=args.timeout,
    )  # fmt: skip
    print(
        json.dumps(
            run(builder, wish, args.output.resolve(), args.crash_memory, args.options), indent=1
        )
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
