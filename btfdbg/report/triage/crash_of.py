"""One dump or log as a :class:`~btfdbg.report.triage.groups.Crash`, and crashes as JSON values.

Owns what of a report triage needs, and the form in which it is kept between runs.
"""

from __future__ import annotations

from btfdbg.errors import DebugInfoError
from btfdbg.lazy_dataclass import replace
from btfdbg.report.blame.signature import VERSION, Signature, signature_of
from btfdbg.report.kinds import KINDS, NOBODY
from btfdbg.report.logs.files import Log, read_log
from btfdbg.report.logs.log_report import verdict
from btfdbg.report.logs.wall_clock import time_of
from btfdbg.report.severity import main_event
from btfdbg.report.triage.crash import Crash
from btfdbg.report.triage.groups import facts_of_path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from btfdbg.program.session import Session
    from btfdbg.report.happened import DecidedLook
    from btfdbg.report.parts import Report

    Page = Callable[[Report], None]

_CLOCK_IS_SET = 946_684_800  # 2000-01-01: a clock without a battery starts before it
_CLOCK_IS_WRONG = 1 << 32


def crash_of_log(path: str, page: Page | None = None) -> Crash:
    """
    Read a log.

    :param page: Is given the report on it, to write it somewhere.
    :raises DebugInfoError: It cannot be read.
    """
    log = read_log(path)
    crash = _crash(path, log)
    if page is not None:
        from btfdbg.report.logs.log_page import report_of_log

        page(report_of_log(log, path))
    return crash


def crash_of_dump(path: str, page: Page | None = None) -> Crash:
    """
    Read a dump: what its structures and its log say happened.

    :param page: Is given the report on it, to write it somewhere.
    :raises DebugInfoError: It cannot be opened, or neither its structures nor its log read.
    """
    from btfdbg.program.open import program_from_core_dump
    from btfdbg.program.session import session as session_of
    from btfdbg.report.calls import UNREADABLE
    from btfdbg.report.happened import DecidedLook

    session = session_of(program_from_core_dump(path))
    host, release = _names_of_dump(session)
    look = DecidedLook(session)
    time = _time_of_dump(look)
    crash = _crash(path, Log(tuple(look.events), 0), host, release)
    crash = replace(crash, source="dump")
    try:
        crash = _decided(crash, look)
    except UNREADABLE as e:
        if not look.events:
            what = f"{path}: neither its structures nor its log say what happened: {e}"
            raise DebugInfoError(what, step="triage") from e
    if time is not None:
        crash = replace(crash, when=time)
        if not crash.identity and crash.kind != "snapshot":  # the log tells nothing
            crash = replace(crash, identity=_digest(f"{session.build_id} {time} {host}"))
    if page is not None:
        from btfdbg.report.whole import report_of

        page(report_of(look))
    return crash


def _names_of_dump(session: Session) -> tuple[str, str]:
    """Return host and release."""
    import drgn

    host, release = "", session.release
    try:
        names = session.prog["init_uts_ns"].name
        host = names.nodename.string_().decode("utf-8", "replace")
        release = names.release.string_().decode("utf-8", "replace")
    except (LookupError, AttributeError, drgn.FaultError):
        pass  # the log may say
    return host, release


def _time_of_dump(look: DecidedLook) -> float | None:
    """
    Return the time of the crash in seconds since 1970, if it is told.

    Of a kernel that was not panicking, the time of what its log reports last as a crash; of one
    that reports none, when it was dumped.
    """
    try:
        # kernel/vmcore_info.c, crash_save_vmcoreinfo(): only where kexec dumped.
        seconds = float(int(look.session.vmcoreinfo.values["CRASHTIME"]))
    except (KeyError, ValueError):
        return _set(_kernels_clock(look))
    return _set(seconds)


def _set(seconds: float | None) -> float | None:
    """A time, unless it is of a clock that nobody had set, which says nothing."""
    return seconds if seconds is not None and _CLOCK_IS_SET < seconds < _CLOCK_IS_WRONG else None


def _kernels_clock(look: DecidedLook) -> float | None:
    """The kernel's own time, as its last tick left it (kernel/time/timekeeping.c, xtime)."""
    from drgn.helpers.linux.timekeeping import ktime_get_coarse_ns, ktime_get_real_seconds

    from btfdbg.report.calls import UNREADABLE

    try:
        stopped = float(ktime_get_real_seconds(look.prog))
        event = None if look.panic_cpu is not None else main_event(look.events)
        if event is None or event.seconds is None:
            return stopped
        # It lived on after it: both clocks have run side by side since.
        since = int(ktime_get_coarse_ns(look.prog)) / 1e9 - event.seconds
    except UNREADABLE:
        return None
    return stopped - max(since, 0.0)


def _decided(crash: Crash, look: DecidedLook) -> Crash:
    """Let the report's decision, which looks at the structures too, stand before the log's."""
    from btfdbg.report.happened import Happened
    from btfdbg.report.sentence import verdict as sentence

    happened = look.happened = Happened(look)
    signature = replace(happened.signature, reasons=())
    known = signature.function is not None or KINDS[happened.kind].choice == NOBODY
    return replace(
        crash,
        kind=happened.kind,
        signature=signature,
        verdict=sentence(happened),
        corrupted=not known,
    )


def _crash(path: str, log: Log, host: str = "", release: str = "") -> Crash:
    where, when = facts_of_path(path)
    event = main_event(log.events)
    host = "" if host in ("(none)", "localhost") else host
    if event is None:
        nothing = verdict(())
        if log.cut:
            nothing = f"{nothing.rstrip('.')}, as far as it goes: {log.cut}."
        return Crash(
            path, "snapshot", signature_of("snapshot", ()), nothing, release, host or where,
            when=when,
        )  # fmt: skip
    return Crash(
        path=path,
        kind=event.kind,
        signature=signature_of(event.kind, event.frames, event.detail),
        verdict=verdict(log.events),
        release=release or event.release or next((e.release for e in log.events if e.release), ""),
        host=host or event.host or where,
        when=_set(time_of(log.clock, event)) if when is None else when,
        model=event.hardware or next((e.hardware for e in log.events if e.hardware), ""),
        identity=_identity(event.seconds, event.message, event.pid),
        corrupted=event.corrupted,
    )


def _identity(seconds: float | None, message: str, pid: int | None) -> str:
    """Return what a dump and the log beside it have in common; microseconds tell crashes apart."""
    if not seconds:
        return ""
    return _digest(f"{seconds:.6f} {pid} {message}")


def _digest(text: str) -> str:
    from hashlib import sha256

    return sha256(text.encode("utf-8", "backslashreplace")).hexdigest()[:24]


def to_json(crash: Crash) -> dict[str, Any]:
    """Return a crash as JSON values."""
    found = crash.signature
    return {
        "path": crash.path,
        "kind": crash.kind,
        "title": found.title,
        "alternatives": list(found.alternatives),
        "stack_hash": found.stack_hash,
        "function": found.function,
        "module": found.module,
        "stack": list(found.stack),
        "rules_version": found.version,
        "verdict": crash.verdict,
        "release": crash.release,
        "host": crash.host,
        "model": crash.model,
        "when": crash.when,
        "identity": crash.identity,
        "corrupted": crash.corrupted,
        "source": crash.source,
    }


def from_json(row: dict[str, Any]) -> Crash:
    """
    Return a crash that :func:`to_json` wrote.

    :raises ValueError: It is not of this version's form.
    """
    try:
        if row["rules_version"] != VERSION:
            raise ValueError("rules of another version")
        signature = Signature(
            str(row["title"]),
            tuple(map(str, row["alternatives"])),
            str(row["stack_hash"]),
            row["function"],
            row["module"],
            tuple(map(str, row["stack"])),
            (),
        )
        return Crash(
            path=str(row["path"]),
            kind=str(row["kind"]),
            signature=signature,
            verdict=str(row["verdict"]),
            release=str(row["release"]),
            host=str(row["host"]),
            model=str(row["model"]),
            when=None if row["when"] is None else float(row["when"]),
            identity=str(row["identity"]),
            corrupted=bool(row["corrupted"]),
            source=str(row["source"]),
        )
    except (KeyError, TypeError) as e:
        raise ValueError(f"not a crash: {e}") from e
