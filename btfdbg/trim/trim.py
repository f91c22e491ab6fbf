"""Trim a dump: the steps, in order.

recording Program → attach → what any session needs → what the given commands
touch → leave out what is not the kernel's → write → check by opening it.

Owns the order and the result's numbers. Runs no command itself: that is for
whoever gives ``exercise``.
"""

from __future__ import annotations

import itertools
import os
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path

import drgn

from btfdbg.errors import DebugInfoError
from btfdbg.lazy_dataclass import dataclass, field, replace
from btfdbg.program.attach import Options, attach, require_given
from btfdbg.program.session import Session
from btfdbg.trim import needs
from btfdbg.trim.kdump_writer import Description, write
from btfdbg.trim.notes import NT_PRSTATUS, QEMU, Source, kernel_qemu_notes, read_source
from btfdbg.trim.privacy import Classifier, Owner
from btfdbg.trim.recorder import Recorder, uncached
from btfdbg.trim.touching import Need
from btfdbg.vmcore.cpunotes import needs_repair, repaired
from btfdbg.vmcore.elfcore import Note
from btfdbg.vmcore.kdumpfile import Uts
from btfdbg.vmcore.paging import ways_to_translate
from btfdbg.vmcore.platforms import byte_order, machine_of, order_of
from btfdbg.vmcore.progress import Progress

_NO_USER_DATA = 31
_ALL_DATA = 1
# Of the bits of makedumpfile's -d: cache, private cache, user data, free pages.
_NOT_KERNEL = 2 | 4 | 8 | 16


@dataclass(frozen=True, slots=True)
class Result:
    """
    What came of trimming.

    :ivar pages: Pages in the new dump.
    :ivar size: Bytes of the new dump.
    :ivar left_out: Pages that were read but are not the kernel's, by owner.
    :ivar problems: What could not be recorded, one line each.
    """

    pages: int
    size: int
    left_out: dict[Owner, int] = field(default_factory=dict)
    problems: tuple[str, ...] = ()


def trim(
    core: str | os.PathLike[str],
    out: str | os.PathLike[str],
    exercise: Callable[[Session], None] | None = None,
    *,
    include_user: bool = False,
    options: Options | None = None,
    architecture: str | None = None,
    vmcoreinfo: bytes | None = None,
    before_done: Callable[[], None] = lambda: None,
    recorded: Iterable[int] | None = None,
    more: Iterable[tuple[str, Need]] = (),
) -> Result:
    """
    Write a kdump-compressed file that holds only the pages that a session reads.

    An exception, Ctrl-C among them, leaves no file and keeps one that OUT was before.

    :param exercise: Is called with the Session of a recording Program; every
        page it reads goes into the file.
    :param before_done: Is called last, before OUT takes its place; what it raises is the
        last that can still keep OUT from being written.
    :param include_user: Keep pages that are not the kernel's own too.
    :param recorded: Page frames that :func:`record` found; what any session needs is
        taken to be among them.
    :param more: What is touched beside what any session needs: ``trim.purposes``.
    :raises DebugInfoError: the dump cannot be used, or the new one not written.
    """
    core, out = Path(core), Path(out)
    if out.exists() and core.exists() and out.samefile(core):
        raise DebugInfoError(f"{out} is the dump itself", step="trim", hint="name another file")
    # It is written beside, and takes its place when it is whole.
    out = Path(os.path.realpath(out))
    if out.exists() and not out.is_file():
        raise DebugInfoError(f"{out} is no regular file", step="trim", hint="name a file")
    recorder = Recorder(core, architecture=architecture, vmcoreinfo=vmcoreinfo)
    source = read_source(recorder.info, recorder.page_size)
    recorder.pfns.update(recorded or ())
    session, problems = _read_of(recorder, options, exercise, None if recorded else more)
    recorder.recording = False
    left_out: Counter[Owner] = Counter()
    pfns = recorder.pfns
    description = _describe(recorder, session, source, include_user)
    # Two sessions at once are more than a crash kernel has memory for.
    del session
    recorder.forget_program()
    if not include_user:
        pfns, left_out = _kernel_pages(recorder, options, source)
    part = out.with_name(out.name + ".part")
    number = itertools.count()

    def read_page(pfn: int) -> bytes:
        progress(next(number))
        return recorder.read_page(pfn)

    try:
        with Progress("writing", len(pfns), unit="pages") as progress:
            size = write(part, description, pfns, read_page)
        before_done()
        part.replace(out)
    except OSError as e:
        raise DebugInfoError(f"{out}: {e.strerror or e}", step="trim") from e
    finally:
        part.unlink(missing_ok=True)
    return Result(len(pfns), size, dict(left_out), tuple(problems))


def record(
    core: str | os.PathLike[str],
    exercise: Callable[[Session], None] | None = None,
    *,
    options: Options | None = None,
) -> tuple[set[int], tuple[str, ...]]:
    """
    Return the page frames that a session reads, without writing anything.

    A process that has little memory records in several goes, each in a process of its
    own, and gives all of it to :func:`trim`.

    :param exercise: As of :func:`trim`; None for what any session needs.
    :return: Page frames, and what could not be recorded.
    :raises DebugInfoError: the dump cannot be used.
    """
    recorder = Recorder(core)
    _, problems = _read_of(recorder, options, exercise, () if exercise is None else None)
    return recorder.pfns, tuple(problems)


@uncached()
def _read_of(
    recorder: Recorder,
    options: Options | None,
    exercise: Callable[[Session], None] | None,
    more: Iterable[tuple[str, Need]] | None,
) -> tuple[Session, list[str]]:
    """
    Read what a session reads of a dump of which nothing is known from earlier runs.

    :param more: See :func:`trim`; ``None`` if what any session needs is not touched either.
    :return: The session, and what could not be recorded.
    """
    look = replace(options or Options(), search=recorder.look)
    session = attach(recorder.prog, look, recorder.info)
    require_given(session, look)
    problems = [] if more is None else needs.touch_all(recorder, session, more)
    if exercise is not None:
        exercise(session)
    return session, problems


def _kernel_pages(
    recorder: Recorder, options: Options | None, source: Source
) -> tuple[set[int], Counter[Owner]]:
    """The recorded pages that are the kernel's own, and how many others there were."""
    plain = attach(recorder.memory, options, recorder.info)
    # A dump that makedumpfile or trimming left all others out of may lack the
    # means to tell; its header is believed then.
    filtered = source.dump_level & _NOT_KERNEL == _NOT_KERNEL
    try:
        classifier = Classifier(plain, filtered=filtered)
    except (LookupError, drgn.FaultError) as e:
        raise DebugInfoError(
            f"it cannot be told which pages are the kernel's own: {e}",
            step="trim",
            hint="--include-user keeps all that was read",
        ) from e
    kept: set[int] = set()
    left_out: Counter[Owner] = Counter()
    for pfn in recorder.pfns:
        owner = classifier.owner(pfn)
        if owner is Owner.KERNEL or (filtered and owner is Owner.UNKNOWN):
            kept.add(pfn)
        else:
            left_out[owner] += 1
    return kept, left_out


def _describe(
    recorder: Recorder, session: Session, source: Source, include_user: bool
) -> Description:
    platform = recorder.prog.platform
    assert platform is not None
    byteorder = byte_order(platform)
    text = session.vmcoreinfo.raw
    notes = [n for n in source.notes if n.name not in ("VMCOREINFO", QEMU)]
    notes += kernel_qemu_notes(source, _page_table(session))
    # Nobody puts the registers right once they are in a file of this kind.
    if needs_repair(notes, source.order, platform.arch):
        notes = list(repaired(notes, source.order, order_of(platform)))
    notes.append(Note("VMCOREINFO", 0, text))
    cpus = sum(1 for n in notes if n.name == "CORE" and n.type == NT_PRSTATUS)
    return Description(
        byteorder=byteorder,
        page_size=recorder.page_size,
        max_pfn=source.max_pfn,
        existing=source.existing,
        notes=b"".join(n.packed(order_of(platform)) for n in notes),
        vmcoreinfo=text,
        uts=_uts(session, source, machine_of(platform)),
        cpus=max(cpus, 1),
        timestamp=_timestamp(session, source),
        phys_base=session.vmcoreinfo.numbers.get("phys_base", 0),
        dump_level=_ALL_DATA if include_user else _NO_USER_DATA,
    )


def _page_table(session: Session) -> int | None:
    """Physical address of x86-64's page table for the kernel, ``None`` elsewhere."""
    platform = session.prog.platform
    if platform is None or platform.arch is not drgn.Architecture.X86_64:
        return None
    way = next(ways_to_translate(platform.arch, session.vmcoreinfo), None)
    return None if way is None else way.root


def _uts(session: Session, source: Source, machine: str) -> Uts:
    """
    The header's names. libkdumpfile learns the machine from them, if none is empty.
    """
    try:
        name = session.prog["init_uts_ns"].name
        fields = [
            getattr(name, field).string_().decode("utf-8", "replace")
            for field in ("sysname", "nodename", "release", "version", "machine", "domainname")
        ]
        if all(fields[i] for i in (0, 2, 3, 4)):
            return Uts(*fields)
    except (LookupError, AttributeError, drgn.FaultError):
        pass
    given = source.uts
    return Uts(
        sysname="Linux",
        nodename=(given.nodename if given else "") or "(none)",
        release=session.release or "unknown",
        version=(given.version if given else "") or "unknown",
        machine=(given.machine if given else "") or machine,
        domainname="(none)",
    )


def _timestamp(session: Session, source: Source) -> int:
    try:
        return int(session.vmcoreinfo.values["CRASHTIME"])
    except (KeyError, ValueError):
        return source.timestamp
