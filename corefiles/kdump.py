"""
Real kdump: a crash kernel that runs makedumpfile on /proc/vmcore.

Owns: the second initramfs, the kexec call and the kinds of dump makedumpfile
writes. Must not know: scenarios. Facts: Documentation/admin-guide/kdump/kdump.rst;
makedumpfile(8).
"""

from __future__ import annotations

import gzip
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from .archive import Archive
from .initramfs import Program, build, busybox, program, wanted_modules
from .kernels import Kernel

# name -> options of makedumpfile. -F writes front to back, as a raw disk needs.
VARIANTS: dict[str, str] = {
    "kdump-zlib": "-F -c -d 31",
    "kdump-lzo": "-F -l -d 31",
    "kdump-zstd": "-F -z -d 31",
    "kdump-elf": "-F -E -d 31",
    # Only zero pages are left out. makedumpfile up to 1.7.8 misreads pages of 7.x
    # and drops slabs otherwise: a useful kind of damage, but no whole dump.
    "kdump-all": "-F -c -d 1",
}
MODULES = ("virtio_pci", "virtio_blk")
# Made on the host from the zlib dump: no makedumpfile of Debian's has snappy.
DERIVED = ("kdump-snappy", "kdump-flattened")
CRASH_MEMORY = 208
"""MiB set aside for the crash kernel."""
DONE = "@@@ kdump done"
FAILED = "@@@ kdump failed"


@dataclass(frozen=True, slots=True)
class Kit:
    """What a guest needs aboard to be dumped by kdump."""

    programs: tuple[Program, ...]
    files: Mapping[str, bytes]
    load: str
    """Shell that loads the crash kernel."""


@dataclass(frozen=True, slots=True)
class Errand:
    """
    What the crash kernel does before it dumps.

    :ivar script: Shell.
    :ivar modules: That it needs besides.
    :ivar memory: MiB set aside for the crash kernel.
    """

    script: str = ""
    modules: tuple[str, ...] = ()
    memory: int = CRASH_MEMORY


def crash_init(variants: Sequence[str], script: str = "") -> str:
    """Return the init script of the crash kernel: one dump to each disk in turn."""
    lines = [
        "#!/usr/bin/busybox sh",
        "/usr/bin/busybox --install -s /usr/bin",
        "export PATH=/usr/bin:/usr/sbin",
        "mount -t proc proc /proc",
        "mount -t sysfs sysfs /sys",
        "mount -t devtmpfs dev /dev",
        "mount -t tmpfs tmp /tmp",
        "for m in /m/*; do insmod $m; done",
        "sleep 1",
        "dmesg -n 4",
        *script.splitlines(),
    ]
    for index, variant in enumerate(variants):
        disk = f"/dev/vd{chr(ord('a') + index)}"
        lines.append(
            f"makedumpfile {VARIANTS[variant]} /proc/vmcore >{disk} 2>/tmp/err"
            # Without a compressor built in, it writes plain pages and succeeds.
            " && ! grep -q unsupported /tmp/err"
            f" || {{ echo '{FAILED} {variant}'; cat /tmp/err; }}"
        )
    lines += ["sync", f"echo '{DONE}'", "while :; do sleep 1000; done"]
    return "\n".join(lines) + "\n"


def plain_image(image: Path) -> bytes:
    """Return a kernel image as kexec takes it everywhere: without an outer gzip."""
    data = image.read_bytes()
    return gzip.decompress(data) if data.startswith(b"\x1f\x8b") else data


def kit(
    kernel: Kernel,
    guest: Archive,
    tools: Archive,
    console: str,
    variants: Sequence[str],
    errand: Errand,
) -> Kit:
    """
    Assemble what goes into the first initramfs.

    :param guest: Where busybox comes from.
    :param tools: Where kexec and makedumpfile come from: an older makedumpfile
        does not understand a newer kernel.
    """
    dumper = program(tools, "makedumpfile", ["usr/bin/makedumpfile"])
    kexec = program(tools, "kexec-tools", ["usr/sbin/kexec"])
    second = build(
        busybox(guest),
        crash_init(variants, errand.script),
        kernel,
        wanted_modules(kernel, (*MODULES, *errand.modules)),
        {},
        programs=[dumper],
    )
    append = f"console={console} nr_cpus=1 irqpoll reset_devices panic=0"
    load = (
        f"kexec -p /crash/kernel --initrd=/crash/initrd --command-line='{append}'"
        " || echo '@@@ kexec failed'\nrm -rf /crash\n"
    )
    files = {"crash/kernel": plain_image(kernel.image), "crash/initrd": second}
    return Kit((kexec,), files, load)
