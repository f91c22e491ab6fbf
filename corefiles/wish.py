"""
What can be asked of the builder.

Owns: the kinds of dump and the record of a wish. Data only.
"""

from __future__ import annotations

from dataclasses import dataclass

from . import kdump
from .run import BuildError
from .scenario import Scenario
from .scenarios import SCENARIOS

# Dumps that QEMU takes: name -> format and paging of dump-guest-memory.
QEMU_DUMPS: dict[str, tuple[str, bool]] = {
    "qemu-elf": ("elf", False),
    "qemu-elf-paging": ("elf", True),
    "qemu-zlib": ("kdump-zlib", False),
    "qemu-lzo": ("kdump-lzo", False),
    "qemu-snappy": ("kdump-snappy", False),
}
# Physical memory as it is: QEMU's pmemsave, the same behind LiME's headers, and the
# file that QEMU kept the guest's memory in, which knows no hole below 4 GiB.
IMAGES = ("raw", "lime", "ram-file")
HOWS = (*QEMU_DUMPS, *IMAGES, *kdump.VARIANTS, *kdump.DERIVED)


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
    cpus: int = 2
    vmcoreinfo: bool = True
    """Whether QEMU may learn the VMCOREINFO note from the guest, where it can."""

    @property
    def by_qemu(self) -> list[str]:
        """Those of ``hows`` that QEMU writes."""
        return [how for how in self.hows if how in QEMU_DUMPS or how in IMAGES]

    @property
    def by_kdump(self) -> list[str]:
        """Those of ``hows`` that makedumpfile writes, and what the others are made from."""
        wanted = [how for how in self.hows if how in kdump.VARIANTS]
        if set(kdump.DERIVED).intersection(self.hows) and "kdump-zlib" not in wanted:
            wanted.append("kdump-zlib")
        return wanted

    def check(self) -> Scenario:
        """
        Return the scenario.

        :raises BuildError: there is no such scenario or kind of dump, or they do not go together.
        """
        unknown = [how for how in self.hows if how not in HOWS]
        if unknown:
            raise BuildError(f"{', '.join(unknown)}: not among {', '.join(HOWS)}")
        scenario = SCENARIOS.get(self.scenario)
        if scenario is None:
            raise BuildError(f"{self.scenario}: not among {', '.join(SCENARIOS)}")
        if scenario.arches and self.arch not in scenario.arches:
            raise BuildError(f"{self.scenario}: comes about on {', '.join(scenario.arches)} only")
        if self.by_kdump and not scenario.panics:
            raise BuildError(f"{self.scenario}: without a panic there is no kdump")
        return scenario
