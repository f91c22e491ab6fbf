"""
From a wish (suite, architecture, scenario, kinds of dump) to dumps with manifests.

Owns: the order of steps and nothing else.
"""

from __future__ import annotations

import dataclasses
import fcntl
import hashlib
import json
import os
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from . import collect, facts, initramfs, kbuild, kdump, kernels, manifest, own, scenarios, vmlinux
from .archive import Archive
from .guest import Guest
from .kernels import Kernel
from .machines import machine_for
from .run import BuildError, run
from .scenario import Ask, Scenario
from .wish import Wish

_FAULT = Path(__file__).parent / "modules" / "fault"
_PROGRAMS = Path(__file__).parent / "programs"
_DISK_SIZE = 4 << 20
# What a guest says when there is no point in waiting any longer.
_FAILURES = "@@@ kexec failed|@@@ cannot|end Kernel panic"
_NEEDED_FACTS = ("uname", "modules", "mounts", "tasks", "meminfo")


@dataclass(frozen=True, slots=True)
class Aboard:
    """
    What a guest carries and says besides.

    :ivar probes: Name of a fact and the shell that prints it.
    :ivar errand: What its crash kernel does, if it has one.
    :ivar disks: Name and file of further disks; they come after those for dumps.
    """

    programs: Sequence[initramfs.Program] = ()
    probes: Mapping[str, str] = field(default_factory=dict)
    errand: kdump.Errand = field(default_factory=kdump.Errand)
    disks: Mapping[str, Path] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Prepared:
    """A guest ready to start."""

    kernel: Kernel
    guest: Guest
    disks: Mapping[str, Path]
    own_modules: Mapping[str, bytes]


def _ext4_image() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        image = Path(folder) / "disk"
        with image.open("wb") as file:
            file.truncate(_DISK_SIZE)
        run(["mke2fs", "-q", "-t", "ext4", image])
        return image.read_bytes()


def _entry(wish: Wish, prepared: Prepared, scenario: Scenario) -> dict[str, Any]:
    """
    Make the manifest entry of a dump from what the guest said.

    :raises BuildError: the guest did not say the most important things, or they
        came out damaged.
    """
    guest, kernel = prepared.guest, prepared.kernel
    record = facts.parse(guest.console())
    missing = [name for name in _NEEDED_FACTS if name not in record]
    if missing:
        raise BuildError(f"guest: no (whole) facts about {', '.join(missing)}")
    blocked = [task["comm"] for task in record["tasks"] if task["state"] == "D"]
    if len(blocked) < int(scenario.expect.get("blocked_at_least", 0)):
        raise BuildError(f"guest: {scenario.name} did not come about, blocked are {blocked}")
    tasks = int(record.get("loadavg", ["0/0"])[0].split("/")[1].split()[0])
    if tasks < int(scenario.expect.get("tasks_at_least", 0)):
        raise BuildError(f"guest: {scenario.name} did not come about, there are {tasks} tasks")
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
        "cpu": guest.cpu,
        "cpus": guest.cpus,
        "vmcoreinfo_device": guest.vmcoreinfo and guest.machine.vmcoreinfo,
        "qemu": run([guest.machine.program, "--version"]).splitlines()[0],
        "markers": scenarios.MARKERS,
        "expect": scenario.expect,
        "facts": record,
    }


def _answer(guest: Guest, asks: Sequence[Ask], timeout: float) -> None:
    for ask in asks:
        guest.wait_for(f"@@@ ask {ask.when}", timeout, but=_FAILURES)
        guest.ask(ask)


class Builder:
    """
    Builds dumps.

    :param cache: Folder for downloads and unpacked packages.
    :param say: Told about each step.
    :param lock: File to hold a lock on while a guest runs, for several builders on one machine.
    """

    def __init__(
        self, cache: Path, say: Callable[[str], None] = print, lock: Path | None = None
    ) -> None:
        self.cache = cache
        self.say = say
        self.lock = lock
        self._archives: dict[tuple[str, str], Archive] = {}

    def archive(self, suite: str, arch: str) -> Archive:
        """Return the archive of a suite and architecture, with this builder's cache."""
        if (suite, arch) not in self._archives:
            self._archives[suite, arch] = Archive(suite, arch, self.cache)
        return self._archives[suite, arch]

    def kernel(self, wish: Wish) -> Kernel:
        """Fetch the wished kernel, or build it if it is one of our own."""
        if wish.flavour.startswith(own.PREFIX):
            return own.fetch(self.cache, wish.flavour.removeprefix(own.PREFIX), self.say)
        return kernels.fetch(self.archive(wish.suite, wish.arch), wish.flavour, wish.release)

    def fault_module(self, kernel: Kernel, archive: Archive) -> bytes:
        """Build our own module for a kernel, with BTF if the kernel has BTF for modules."""
        sources = hashlib.sha256()
        for path in sorted(_FAULT.iterdir()):
            sources.update(path.read_bytes())
        name = f"{kernel.arch}-{kernel.release}-{sources.hexdigest()[:12]}-cf_fault.ko"
        key = self.cache / "modules" / name
        if not key.exists():
            self.say(f"building cf_fault.ko for {kernel.release}")
            with tempfile.TemporaryDirectory() as folder:
                if kernel.flavour.startswith(own.PREFIX):
                    built = own.build_module(kernel, self.cache, _FAULT)
                else:
                    elf = vmlinux.with_btf(kernel.image, Path(folder) / "vmlinux")
                    built = kbuild.build_module(kernel, archive, _FAULT, elf)
            key.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(built, key)
        return key.read_bytes()

    def prepare(
        self,
        wish: Wish,
        kernel: Kernel,
        scenario: Scenario,
        variants: Sequence[str],
        work: Path,
        aboard: Aboard | None = None,
    ) -> Prepared:
        """
        Make the initramfs and the disks of a guest.

        :param variants: Kinds of dump that its own kdump writes; none for QEMU's.
        """
        aboard = aboard or Aboard()
        machine = machine_for(wish.arch)
        archive = self.archive(wish.suite, wish.arch)
        memory = wish.memory or machine.memory + 64 + scenario.memory + (256 if variants else 0)
        memory = machine.round_memory(memory)
        words = f"{machine.append} {scenario.append} {wish.append}".split()
        # On a busy machine a guest stands still for so long that it believes to be stuck.
        patience = ("watchdog_thresh=60", "rcupdate.rcu_cpu_stall_timeout=120")
        append = " ".join((f"console={machine.console}", "panic=0", *patience, *words))
        before = ""
        programs = tuple(aboard.programs)
        files = {"disk.img": _ext4_image()} if scenario.disk else {}
        if scenario.own_program:
            files[scenario.own_program] = kbuild.build_program(
                wish.arch, _PROGRAMS / f"{scenario.own_program}.c"
            )
        probes = dict(aboard.probes)
        if scenario.bpf:
            programs += (initramfs.program(archive, "bpftool", ["usr/sbin/bpftool"]),)
            files["cf_bpf.o"] = kbuild.build_bpf(_PROGRAMS / "cf_bpf.bpf.c")
            probes |= facts.BPF_PROBES
        disks = {how: work / f"disk-{how}" for how in variants}
        if variants:
            tools = self.archive(wish.tools_suite or wish.suite, wish.arch)
            errand = aboard.errand
            kit = kdump.kit(kernel, archive, tools, machine.console, variants, errand)
            programs += kit.programs
            before = kit.load
            files |= kit.files
            append += f" crashkernel={errand.memory}M"
        for disk in disks.values():
            with disk.open("wb") as file:
                file.truncate((memory + 64) << 20)
        named = {name: work / f"disk-{name}" for name in scenario.disks}
        for disk in named.values():
            with disk.open("wb") as file:
                file.truncate(_DISK_SIZE)
        fault = {"cf_fault": self.fault_module(kernel, archive)} if scenario.own_module else {}
        image = initramfs.build(
            initramfs.busybox(archive),
            scenarios.script(scenario, before, probes),
            kernel,
            initramfs.wanted_modules(kernel, scenarios.MODULES.split()),
            fault,
            programs=programs,
            files=files,
        )
        (work / "initramfs").write_bytes(image)
        cpu = wish.cpu or machine.cpu_for(kernel.series)
        guest = Guest(
            machine,
            cpu,
            kernel.image,
            work / "initramfs",
            append,
            work,
            memory,
            cpus=wish.cpus,
            vmcoreinfo=wish.vmcoreinfo,
            ram_file=_ram_file(work) if "ram-file" in wish.hows and not variants else None,
            # Those of kdump come first: its own initramfs counts on that.
            disks={**disks, **named, **aboard.disks},
        )
        self.say(f"booting {kernel.release} ({memory} MiB), {scenario.name}")
        return Prepared(kernel, guest, disks, fault)

    def build(self, wish: Wish, out: Path) -> list[Path]:
        """
        Build all wished dumps of one kernel and one scenario.

        :param out: Where they go, without suffix: each gets ``-HOW.vmcore``.
        :return: The dumps; each has a manifest entry beside it.
        """
        scenario = wish.check()
        self.say(f"fetching {wish.suite} {wish.arch} {wish.flavour} {wish.release or ''}")
        kernel = self.kernel(wish)
        dumps: list[Path] = []
        if wish.by_qemu:
            dumps += self._build(wish, kernel, scenario, out, [])
        if wish.by_kdump:
            dumps += self._build(wish, kernel, scenario, out, wish.by_kdump)
        return dumps

    def _build(
        self, wish: Wish, kernel: Kernel, scenario: Scenario, out: Path, variants: Sequence[str]
    ) -> list[Path]:
        with work_folder(out) as work:
            prepared = self.prepare(wish, kernel, scenario, variants, work)
            with self.alone(), prepared.guest:
                return self.finish(wish, prepared, scenario, out, variants)

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Wait for the guests of other builders, where a lock file was given."""
        if self.lock is None:
            yield
            return
        with self.lock.open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def finish(
        self,
        wish: Wish,
        prepared: Prepared,
        scenario: Scenario,
        out: Path,
        variants: Sequence[str] = (),
    ) -> list[Path]:
        """
        See a running guest through to its end, and take its dumps.

        :param variants: Kinds of dump that the guest's own kdump writes.
        """
        guest = prepared.guest
        start = time.monotonic()
        _answer(guest, scenario.asks, wish.timeout)
        guest.wait_for("@@@ dying", wish.timeout, but=_FAILURES)
        entry = _entry(wish, prepared, scenario)
        if variants:
            guest.wait_for(kdump.DONE, wish.timeout, but=f"{kdump.FAILED}|end Kernel panic")
        elif scenario.panics:
            guest.wait_for("Kernel panic - not syncing", wish.timeout, but="@@@ cannot")
            guest.wait_quiet("end Kernel panic", 3, 30)
            # The console is written before the last CPU has stopped.
            time.sleep(1)
        self.say(f"dead after {time.monotonic() - start:.0f} s")
        if variants:
            made = collect.from_disks(wish, prepared.disks, out, guest.work)
        else:
            made = collect.from_monitor(wish, guest, out, self.say)
        console = guest.console().encode(errors="surrogateescape")
        for line in re.findall(r"(?m)^@@@ insmod failed \S+", guest.console()):
            self.say(line)
        for how, dump in made.items():
            manifest.write_entry(dump, {**entry, "how": how})
            self.say(f"{dump} {dump.stat().st_size >> 10} KiB")
            dump.with_name(f"{dump.name}.console").write_bytes(console)
        for name, module in prepared.own_modules.items():
            out.with_name(f"{out.name}-{name}.ko").write_bytes(module)
        return list(made.values())

    @contextmanager
    def live(self, wish: Wish, out: Path, aboard: Aboard | None = None) -> Iterator[Prepared]:
        """
        Keep a guest alive instead, for debugging through its monitor.

        The facts are in ``OUT.json``. The monitor, a UNIX socket that speaks QMP, is
        ``guest.monitor``; nobody else is connected to it.

        :param wish: Its scenario's setup runs, its end does not come.
        """
        scenario = wish.check()
        kernel = self.kernel(wish)
        quiet = dataclasses.replace(scenario, trigger="")
        with work_folder(out) as work:
            prepared = self.prepare(wish, kernel, quiet, [], work, aboard)
            with self.alone(), prepared.guest as guest:
                _answer(guest, scenario.asks_before_facts, wish.timeout)
                guest.wait_for("@@@ dying", wish.timeout, but=_FAILURES)
                entry = {"how": "live", **_entry(wish, prepared, scenario)}
                manifest.entry_path(out).write_text(json.dumps(entry, indent=1) + "\n")
                yield prepared


def _ram_file(work: Path) -> Path:
    """Where a guest's memory goes: into memory if possible, since every page is written there."""
    shared = Path("/dev/shm")
    return shared / f"btfdbg-corefiles-{os.getpid()}" if shared.is_dir() else work / "ram"


@contextmanager
def work_folder(out: Path) -> Iterator[Path]:
    """Keep a folder beside a dump as long as it is being built."""
    work = out.with_name(out.name + ".work")
    work.mkdir(parents=True, exist_ok=True)
    try:
        yield work
    finally:
        shutil.rmtree(work, ignore_errors=True)
