"""A page-table walk with every step.

Owns the steps and the names of levels; which entries are tables and which are pages is said
by ``vmcore.paging``, what the bits are called by the architecture's ``PTE`` there.

Facts: ``include/linux/pgtable.h`` (the levels' names).
"""

from __future__ import annotations

import drgn
from drgn.commands import CommandError

from btfdbg.lazy_dataclass import dataclass, field
from btfdbg.program.session import Session
from btfdbg.vmcore.explain import kernel_paging
from btfdbg.vmcore.paging import NotMappedError, Paging, entry_bits
from btfdbg.vmcore.paging.walk import Entry

_LEVELS = {2: ("PGD", "PTE"), 3: ("PGD", "PMD", "PTE"), 4: ("PGD", "PUD", "PMD", "PTE"),
           5: ("PGD", "P4D", "PUD", "PMD", "PTE")}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Step:
    """
    One table of a walk.

    :ivar level: ``PGD``, …, ``PTE``.
    :ivar place: Physical address of the entry.
    :ivar shift: The entry covers ``1 << shift`` bytes.
    """

    level: str
    place: int
    value: int
    shift: int


@dataclass(slots=True)
class Walk:
    """
    A walk from the root on.

    :ivar physical: Physical address; ``None`` if nothing is mapped there.
    :ivar run: Bytes from there on that the last entry maps.
    :ivar problem: Why the walk ended early; empty if an entry says that nothing is mapped.
    """

    steps: list[Step] = field(default_factory=list)
    physical: int | None = None
    run: int = 0
    problem: str = ""


def paging_of(session: Session) -> Paging:
    """
    The kernel's paging.

    :raises CommandError: it is not known for this dump.
    """
    found = kernel_paging(session.prog)
    if found is None:
        raise CommandError("how this dump's page tables are laid out is not known")
    return found


def walk_kernel(session: Session, address: int) -> Walk:
    """Translate by the kernel's own tables."""
    return _walk(session, paging_of(session), address)


def walk_user(session: Session, mm: drgn.Object, address: int) -> Walk:
    """Translate by the tables of an address space."""
    paging = paging_of(session)
    key = "btfdbg.commands.crash.roots"
    roots: dict[int, int] = session.prog.cache.setdefault(key, {})
    pgd = mm.pgd.value_()
    if pgd not in roots:
        try:
            roots[pgd] = paging.translate(_reader(session), pgd)[0]
        except NotMappedError as e:
            raise CommandError(f"the page directory {pgd:x}: {e}") from None
    return _walk(session, paging.at(roots[pgd], both_halves=True), address)


def _reader(session: Session):  # type: ignore[no-untyped-def] # ReadPhysical
    prog = session.prog

    def read(address: int, size: int) -> bytes:
        data: bytes = prog.read(address, size, physical=True)
        return data

    return read


def _walk(session: Session, paging: Paging, address: int) -> Walk:
    found = Walk()
    read = _reader(session)
    names = _LEVELS.get(len(paging.levels), ("PGD",) * len(paging.levels))
    top = paging.levels[0].shift + paging.levels[0].bits
    user = paging.both_halves and not address >> (top if paging.whole_root else top - 1)
    if not (user or paging.is_kernel(address)):
        found.problem = "not an address that page tables translate"
        return found
    table = paging.root
    for depth, level in enumerate(paging.levels):
        left = len(paging.levels) - 1 - depth
        index = address >> level.shift & (1 << level.bits) - 1
        try:
            entry = paging.entry_of(read, table, index, left)
        except NotMappedError as e:
            found.problem = str(e)
            return found
        found.steps.append(Step(names[depth], table + 8 * index, entry, level.shift))
        kind, target = paging.decode(entry, left)
        if kind is Entry.LEAF:
            within = address & (1 << level.shift) - 1
            found.physical, found.run = target + within, (1 << level.shift) - within
            return found
        if kind is Entry.NONE:
            return found
        if kind is Entry.BAD:
            found.problem = f"the entry {entry:x} is not valid"
            return found
        table = target
    found.problem = "the last level points to another table"
    return found


def bits(prog: drgn.Program, entry: int) -> list[str]:
    """Names of the bits that are set in an entry; none for an architecture that is not known."""
    platform = prog.platform
    layout = entry_bits(platform.arch) if platform is not None else None
    return [] if layout is None else layout.names(entry)
