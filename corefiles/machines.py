"""
One row per architecture: the QEMU machine that stands for it.

Owns: data only. Facts: tried with QEMU 7.2, software emulation.
"""

from __future__ import annotations

from dataclasses import dataclass

from .run import BuildError


@dataclass(frozen=True, slots=True)
class Machine:
    """How to emulate one architecture."""

    program: str
    machine: tuple[str, ...]
    cpu: str
    console: str
    bus: str
    """Suffix of virtio device names: pci or ccw."""
    memory: int
    """Least sensible memory, MiB."""
    vmcoreinfo: bool = False
    """QEMU can learn the VMCOREINFO note from the guest's qemu_fw_cfg module."""
    old_cpu: str = ""
    """For kernels before 6.6, which do not know what ``max`` offers."""
    append: str = ""
    """Added to the kernel's command line."""
    ram_base: int = 0
    """Physical address of the first byte of memory."""
    memory_step: int = 1
    """Memory comes in multiples of so many MiB."""

    def round_memory(self, memory: int) -> int:
        """Return the next size, in MiB, that the machine can have."""
        return -(-memory // self.memory_step) * self.memory_step

    def cpu_for(self, series: tuple[int, int]) -> str:
        """Return the processor model for a kernel."""
        return self.old_cpu if self.old_cpu and series < (6, 6) else self.cpu


MACHINES: dict[str, Machine] = {
    "amd64": Machine(
        "qemu-system-x86_64",
        ("-M", "pc"),
        "max",
        "ttyS0",
        "pci",
        320,
        vmcoreinfo=True,
        # On a busy machine no interrupt may come in the time that it waits for one.
        append="no_timer_check",
    ),
    "arm64": Machine(
        "qemu-system-aarch64",
        ("-M", "virt,gic-version=3"),
        # Pointer authentication by the architected cipher takes most of the
        # time under emulation.
        "max,pauth-impdef=on",
        "ttyAMA0",
        "pci",
        320,
        vmcoreinfo=True,
        old_cpu="cortex-a57",
        ram_base=0x40000000,
    ),
    "s390x": Machine("qemu-system-s390x", ("-M", "s390-ccw-virtio"), "max", "ttysclp0", "ccw", 320),
    "ppc64el": Machine(
        "qemu-system-ppc64", ("-M", "pseries"), "power9", "hvc0", "pci", 704, memory_step=256
    ),
    "riscv64": Machine(
        "qemu-system-riscv64", ("-M", "virt"), "rv64", "ttyS0", "pci", 384, ram_base=0x80000000
    ),
}


def machine_for(arch: str) -> Machine:
    """
    Return the row of a Debian architecture.

    :raises BuildError: none.
    """
    found = MACHINES.get(arch)
    if found is None:
        raise BuildError(f"{arch}: no machine; there are {', '.join(MACHINES)}")
    return found
