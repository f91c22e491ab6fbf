"""
From a wish (suite, architecture, scenario, kinds of dump) to dumps with manifests.

Owns: the order of steps and nothing else.
"""

from __future__ import annotations

import re
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import facts, initramfs, kbuild, kdump, kernels, manifest, rawimage, scenarios, vmlinux
from .archive import Archive
from .flattened import rearrange
from .guest import Guest
from .machines import machine_for
from .recompress import to_snappy
from .run import BuildError, run
from .scenarios import Scenario

# Dumps that QEMU takes: name -> format and paging of dump-guest-memory.
QEMU_DUMPS: dict[str, tuple[str, bool]] = {
    "qemu-elf": ("elf", False),
    "qemu-elf-paging": ("elf", True),
    "qemu-zlib": ("kdump-zlib", False),
    "qemu-lzo": ("kdump-lzo", False),
    "qemu-snappy": ("kdump-snappy", False),
}
IMAGES = ("raw", "lime")
HOWS = (*QEMU_DUMPS, *IMAGES, *kdump.VARIANTS, *kdump.DERIVED)
_FAULT = Path(__file__).parent / "modules" / "fault"
_DISK_SIZE = 4 << 20


@dataclass(frozen=True, slots=True)
class Wish:
    """What to build."""

    suite: str
    arch: str
    scenario: str
    hows: tuple[str, ...]
    flavour: str = "cloud"
    release: str | None = None
    memory: int | None = None
    tools_suite: str | None = None
    """Suite of kexec and makedumpfile; the kernel's own by default."""
    timeout: float = 600
    cpu: str | None = None
    """QEMU's processor model instead of the machine's."""
    append: str = ""
    """Added to the kernel's command line."""

    @property
    def kdump(self) -> list[str]:
        """Those of ``hows`` that makedumpfile writes."""
        wanted = [how for how in self.hows if how in kdump.VARIANTS]
        if set(kdump.DERIVED).intersection(self.hows) and "kdump-zlib" not in wanted:
            wanted.append("kdump-zlib")
        return wanted


def _ext4_image() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        image = Path(folder) / "disk"
        with image.open("wb") as file:
            file.truncate(_DISK_SIZE)
        run(["mke2fs", "-q", "-t", "ext4", image])
        return image.read_bytes()


def _entry(wish: Wish, kernel: kernels.Kernel, guest: Guest, scenario: Scenario) -> dict[str, Any]:
    record = facts.parse(guest.console())
    version = run([guest.machine.program, "--version"]).splitlines()[0]
    return {
        "suite": wish.suite,
        "arch": wish.arch,
        "flavour": kernel.flavour,
        "release": kernel.release,
        "build_id": record.get("build_id", ""),
        "packages": list(kernel.packages),
        "scenario": scenario.name,
        "summary": scenario.summary,
        "memory": guest.memory,
        "qemu": version,
        "markers": scenarios.MARKERS,
        "expect": scenario.expect,
        "facts": record,
    }


class Builder:
    """
    Builds dumps.

    :param cache: Folder for downloads and unpacked packages.
    :param say: Told about each step.
    """

    def __init__(self, cache: Path, say: Callable[[str], None] = print) -> None:
        self.cache = cache
        self.say = say

    def archive(self, suite: str, arch: str) -> Archive:
        """Return the archive of a suite and architecture, with this builder's cache."""
        return Archive(suite, arch, self.cache)

    def kernel(self, wish: Wish) -> kernels.Kernel:
        """Fetch the wished kernel."""
        return kernels.fetch(self.archive(wish.suite, wish.arch), wish.flavour, wish.release)

    def fault_module(self, kernel: kernels.Kernel, archive: Archive) -> bytes:
        """Build our own module for a kernel, with BTF if the kernel has BTF for modules."""
        key = self.cache / "modules" / f"{kernel.arch}-{kernel.release}-cf_fault.ko"
        newest = max(path.stat().st_mtime for path in _FAULT.iterdir())
        if not key.exists() or key.stat().st_mtime < newest:
            self.say(f"building cf_fault.ko for {kernel.release}")
            with tempfile.TemporaryDirectory() as folder:
                elf = vmlinux.with_btf(kernel.image, Path(folder) / "vmlinux")
                built = kbuild.build_module(kernel, archive, _FAULT, elf)
            key.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(built, key)
        return key.read_bytes()

    def build(self, wish: Wish, out: Path) -> list[Path]:
        """
        Build all wished dumps of one kernel and one scenario.

        :param out: Where they go, without suffix: each gets ``-HOW.vmcore``.
        :return: The dumps; each has a manifest entry beside it.
        """
        unknown = [how for how in wish.hows if how not in HOWS]
        if unknown:
            raise BuildError(f"{', '.join(unknown)}: not among {', '.join(HOWS)}")
        scenario = scenarios.SCENARIOS.get(wish.scenario)
        if scenario is None:
            raise BuildError(f"{wish.scenario}: not among {', '.join(scenarios.SCENARIOS)}")
        self.say(f"fetching {wish.suite} {wish.arch} {wish.flavour} {wish.release or ''}")
        kernel = self.kernel(wish)
        out.parent.mkdir(parents=True, exist_ok=True)
        qemu = [how for how in wish.hows if how in QEMU_DUMPS or how in IMAGES]
        dumps: list[Path] = []
        if qemu:
            dumps += self._boot(wish, kernel, scenario, out, qemu)
        if wish.kdump:
            dumps += self._boot(wish, kernel, scenario, out, wish.kdump, by_kdump=True)
        return dumps

    def _boot(
        self,
        wish: Wish,
        kernel: kernels.Kernel,
        scenario: Scenario,
        out: Path,
        hows: Sequence[str],
        *,
        by_kdump: bool = False,
    ) -> list[Path]:
        machine = machine_for(wish.arch)
        archive = self.archive(wish.suite, wish.arch)
        memory = wish.memory or machine.memory + 64 + scenario.memory + (256 if by_kdump else 0)
        memory = machine.round_memory(memory)
        append = f"console={machine.console} panic=0 {machine.append} {wish.append}".strip()
        before = ""
        programs: Sequence[initramfs.Program] = ()
        files: dict[str, bytes] = {}
        disks: list[Path] = []
        if scenario.disk:
            files["disk.img"] = _ext4_image()
        work = out.with_name(out.name + ".work")
        work.mkdir(parents=True, exist_ok=True)
        try:
            if by_kdump:
                tools = self.archive(wish.tools_suite or wish.suite, wish.arch)
                kit = kdump.kit(kernel, archive, tools, machine.console, hows)
                programs, before = kit.programs, kit.load
                files.update(kit.files)
                append += " crashkernel=208M"
                for how in hows:
                    disks.append(work / f"disk-{how}")
                    with disks[-1].open("wb") as file:
                        file.truncate((memory + 64) << 20)
            own = {"cf_fault": self.fault_module(kernel, archive)} if scenario.own_module else {}
            order = initramfs.wanted_modules(kernel, scenarios.MODULES.split())
            image = initramfs.build(
                initramfs.busybox(archive),
                scenarios.script(scenario, before),
                kernel,
                order,
                own,
                programs=programs,
                files=files,
            )
            (work / "initramfs").write_bytes(image)
            cpu = wish.cpu or machine.cpu_for(kernel.series)
            guest = Guest(
                machine, cpu, kernel.image, work / "initramfs", append, work, memory, disks=disks
            )
            self.say(f"booting {kernel.release} ({memory} MiB), {scenario.name}")
            start = time.monotonic()
            with guest:
                if by_kdump:
                    guest.wait_for(kdump.DONE, wish.timeout, but=f"{kdump.FAILED}|@@@ kexec failed")
                else:
                    guest.wait_for("Kernel panic - not syncing", wish.timeout)
                    guest.wait_quiet("end Kernel panic", 3, 30)
                    # The console is written before the last CPU has stopped.
                    time.sleep(1)
                self.say(f"dead after {time.monotonic() - start:.0f} s")
                entry = _entry(wish, kernel, guest, scenario)
                made = self._collect(guest, hows, disks, out, wish, by_kdump)
            self._check(entry, guest.console())
            for how, dump in made.items():
                manifest.write_entry(dump, {**entry, "how": how})
                self.say(f"{dump} {dump.stat().st_size >> 10} KiB")
            shutil.copyfile(guest.console_log, out.with_name(f"{out.name}-{hows[0]}.console"))
            for name, module in own.items():
                out.with_name(f"{out.name}-{name}.ko").write_bytes(module)
            return list(made.values())
        finally:
            shutil.rmtree(work, ignore_errors=True)

    def _collect(
        self,
        guest: Guest,
        hows: Sequence[str],
        disks: Sequence[Path],
        out: Path,
        wish: Wish,
        by_kdump: bool,
    ) -> dict[str, Path]:
        made: dict[str, Path] = {}

        def target(how: str, suffix: str = "vmcore") -> Path:
            made[how] = out.with_name(f"{out.name}-{how}.{suffix}")
            return made[how]

        if by_kdump:
            for how, disk in zip(hows, disks, strict=True):
                plain = target(how) if how in wish.hows else guest.work / how
                flattened = None
                if how == "kdump-zlib" and "kdump-flattened" in wish.hows:
                    flattened = target("kdump-flattened")
                rearrange(disk, plain, flattened)
                if how == "kdump-zlib" and "kdump-snappy" in wish.hows:
                    to_snappy(plain, target("kdump-snappy"))
            return made
        for how in hows:
            if how in QEMU_DUMPS:
                form, paging = QEMU_DUMPS[how]
                if form not in guest.dump_formats():
                    self.say(f"{how}: this QEMU was built without it")
                    continue
                guest.dump(target(how), form=form, paging=paging)
        if set(IMAGES).intersection(hows):
            base = guest.machine.ram_base
            raw = target("raw", "raw") if "raw" in hows else guest.work / "raw"
            guest.save_memory(raw, base, guest.memory << 20)
            if "lime" in hows:
                ranges = rawimage.system_ram(facts.parse(guest.console()).get("iomem", []))
                rawimage.write_lime(raw, base, ranges, target("lime", "lime"))
        return made

    def _check(self, entry: dict[str, Any], console: str) -> None:
        missing = [
            name for name in ("uname", "modules", "mounts", "tasks", "meminfo")
            if name not in entry["facts"]
        ]  # fmt: skip
        if missing:
            raise BuildError(f"guest: no (whole) facts about {', '.join(missing)}")
        for line in re.findall(r"(?m)^@@@ insmod failed \S+", console):
            self.say(line)


def qemu_present(arch: str) -> bool:
    """Say whether this machine can emulate an architecture."""
    program = machine_for(arch).program
    return shutil.which(program) is not None
