"""
What a scenario is.

Owns: the record. Must not know: which scenarios there are.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

# Of the widgets that modules/fault makes when it is loaded.
WIDGETS = [
    {"number": 7, "color": "CF_RED", "name": "anvil", "weight": 1234},
    {"number": -3, "color": "CF_GREEN", "name": "bolt", "weight": 17},
    {"number": 2000000000, "color": "CF_BLUE", "name": "cog", "weight": 1},
]
HUNG_TASK = (
    "echo 1 >/proc/sys/kernel/hung_task_panic\necho 4 >/proc/sys/kernel/hung_task_timeout_secs\n"
)
SYSRQ = "echo c >/proc/sysrq-trigger\n"


@dataclass(frozen=True, slots=True)
class Ask:
    """
    Something that QEMU has to do for a guest.

    :ivar when: The guest asks by printing ``@@@ ask WHEN``.
    :ivar command: Of QMP.
    """

    when: str
    command: str
    arguments: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Scenario:
    """One way to come to an end."""

    name: str
    summary: str
    trigger: str
    """Shell that brings about the panic."""
    setup: str = ""
    """Shell that runs before the facts are taken."""
    settle: float = 2
    """Seconds between ``setup`` and the facts."""
    memory: int = 0
    """MiB that it needs more than others."""
    own_module: bool = False
    """Needs the module in modules/fault."""
    disk: bool = False
    """Needs an ext4 image at /disk.img."""
    disks: tuple[str, ...] = ()
    """Names of further virtio disks, which are their serial numbers for the guest."""
    own_program: str = ""
    """Name of a program in programs/ that it needs, as /NAME."""
    bpf: bool = False
    """Needs bpftool, and the programs of programs/cf_bpf.bpf.c as /cf_bpf.o."""
    append: str = ""
    """Added to the kernel's command line."""
    asks: tuple[Ask, ...] = ()
    """What QEMU does meanwhile, in this order."""
    panics: bool = True
    """Whether there is a panic at its end. Without one only QEMU can write the dump."""
    probes: Mapping[str, str] = field(default_factory=dict)
    """Further facts, taken last: name and the shell that prints it."""
    arches: tuple[str, ...] = ()
    """Architectures on which it can come about; all by default."""
    expect: dict[str, Any] = field(default_factory=dict)
    """
    Further truths about the dump, for its manifest:

    - ``kind``: what happened, one of ``KINDS``
    - ``guilty``: ``function``, ``module`` and ``task`` to blame, as far as there are such
    - ``panic_comm`` and ``panic_frames``: functions on the stack of the panic task,
      innermost first, with others between them
    - ``later_tasks``: names of tasks that began after the facts were taken
    - ``blocked``: names of tasks in D state; ``blocked_at_least``: how many there are
    - and what else a scenario has.
    """

    @property
    def asks_before_facts(self) -> tuple[Ask, ...]:
        """Those of ``asks`` that the setup makes."""
        return tuple(ask for ask in self.asks if f"@@@ ask {ask.when}" in self.setup)


KINDS = (
    "null-dereference",
    "bad-access",
    "bug",
    "warning",
    "list-corruption",
    "refcount",
    "stack-overflow",
    "divide-error",
    "invalid-opcode",
    "hung-task",
    "deadlock",
    "soft-lockup",
    "hard-lockup",
    "rcu-stall",
    "workqueue-stall",
    "out-of-memory",
    "hardware",
    "panic-by-hand",
    "snapshot",
)
