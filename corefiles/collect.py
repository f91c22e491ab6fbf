"""
Taking the wished dumps from a guest that died.

Owns: which file comes from which step, and their names. Must not know: how the
guest came to die.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from . import facts, rawimage
from .flattened import rearrange
from .guest import Guest
from .recompress import to_snappy
from .run import run
from .wish import QEMU_DUMPS, Wish

_SUFFIXES = {"raw": "raw", "lime": "lime", "ram-file": "raw"}


def dump_path(out: Path, how: str) -> Path:
    """Return where a dump goes: ``OUT-HOW`` and a suffix."""
    return out.with_name(f"{out.name}-{how}.{_SUFFIXES.get(how, 'vmcore')}")


def from_disks(wish: Wish, disks: Mapping[str, Path], out: Path, work: Path) -> dict[str, Path]:
    """
    Turn what makedumpfile wrote to disks into dumps.

    :param disks: Kind of dump and the disk that it was written to.
    :return: Kind of dump and its file.
    """
    made: dict[str, Path] = {}

    def target(how: str) -> Path | None:
        if how in wish.hows:
            made[how] = dump_path(out, how)
        return made.get(how)

    for how, disk in disks.items():
        plain = target(how) or work / how
        zlib = how == "kdump-zlib"
        rearrange(disk, plain, target("kdump-flattened") if zlib else None)
        if zlib and (snappy := target("kdump-snappy")):
            to_snappy(plain, snappy)
    return made


def from_monitor(
    wish: Wish, guest: Guest, out: Path, say: Callable[[str], None]
) -> dict[str, Path]:
    """
    Let QEMU write dumps.

    :return: Kind of dump and its file; formats that this QEMU lacks are left out.
    """
    made: dict[str, Path] = {}
    for how in wish.by_qemu:
        if how not in QEMU_DUMPS:
            continue
        form, paging = QEMU_DUMPS[how]
        if form not in guest.dump_formats():
            say(f"{how}: this QEMU was built without it")
            continue
        made[how] = dump_path(out, how)
        guest.dump(made[how], form=form, paging=paging)
    if guest.ram_file is not None:
        made["ram-file"] = dump_path(out, "ram-file")
        run(["cp", "--sparse=always", guest.ram_file, made["ram-file"]])
    if "raw" in wish.hows or "lime" in wish.hows:
        base = guest.machine.ram_base
        raw = dump_path(out, "raw") if "raw" in wish.hows else guest.work / "raw"
        guest.save_memory(raw, base, guest.memory << 20)
        if "raw" in wish.hows:
            made["raw"] = raw
        if "lime" in wish.hows:
            made["lime"] = dump_path(out, "lime")
            ranges = rawimage.system_ram(facts.parse(guest.console()).get("iomem", []))
            rawimage.write_lime(raw, base, ranges, made["lime"])
    return made
