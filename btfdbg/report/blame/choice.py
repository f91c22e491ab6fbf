"""Choose the function to blame from a stack, and say why for each frame.

Owns the order of the rules for each way of choosing; the rules themselves are rows of
rules.py. Works on frames alone, so that a log and a dump's own stacks are judged alike.
"""

from __future__ import annotations

from btfdbg.lazy_dataclass import dataclass
from btfdbg.report.blame.match import by_ending, match
from btfdbg.report.kinds import FIRST, HANG, KINDS, NOBODY, STALL

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from btfdbg.report.blame.rules import Rule
    from btfdbg.report.event import Frame

NOTHING_ELSE = "nothing-else"  # the rule by which machinery is blamed
_LOCKS = ("spinlock", "sleeping-lock", "wait-lock")
_DEEP = 16  # frames from which on a stack may be called a recursion
_BORDER = "user-border"
_FRAMES = 1024  # more are not looked at: a stack that long goes in circles


@dataclass(frozen=True, slots=True)
class Reason:
    """What became of one frame: ``kept`` or not, by which rule, in words."""

    frame: Frame
    kept: bool
    rule: str
    why: str


@dataclass(frozen=True, slots=True)
class Choice:
    """
    The frame to blame.

    ``frame`` is None when no frame is; ``name`` overrides its name where a rule names
    one answer for many functions; ``stack`` holds the frames that are not machinery.
    """

    frame: Frame | None
    name: str
    reasons: tuple[Reason, ...]
    stack: tuple[Frame, ...]


def choose(kind: str, frames: Iterable[Frame]) -> Choice:
    """
    Choose the frame to blame.

    :param kind: A key of :data:`btfdbg.report.kinds.KINDS`.
    :param frames: The stack that decides, innermost first.
    :raises KeyError: There is no such kind.
    """
    how = KINDS[kind].choice
    reasons: list[Reason] = []
    sure: list[Frame] = []
    place: dict[int, int] = {}
    registers: Frame | None = None  # the frame before, if the registers named it
    for frame in frames:
        if len(sure) == _FRAMES:
            break
        place[id(frame)] = len(place)
        if not frame.sure:
            reasons.append(Reason(frame, False, "unsure", "the unwinder does not vouch for it"))
        elif registers is not None and registers.name == frame.name:
            registers = None  # the registers and the stack both name it
        else:
            sure.append(frame)
            registers = frame if frame.part == "pc" else None
    stack = tuple(frame for frame in sure if not _machinery(frame, how))
    if how == NOBODY:
        return Choice(None, "", (), stack)
    picked = {HANG: _hang, STALL: _stall}.get(how, _first)(sure, reasons)
    # In the stack's order; what the unwinder guessed below the blamed frame is of no interest.
    reasons.sort(key=lambda reason: (reason.kept, place[id(reason.frame)]))
    if picked is None:
        return Choice(None, "", tuple(reasons), stack)
    last = place[id(picked[0])]
    told = [r for r in reasons if r.rule != "unsure" or place[id(r.frame)] < last]
    return Choice(*picked, tuple(told), stack)


def _machinery(frame: Frame, how: str) -> bool:
    name = frame.name
    return bool(
        match("skip", name)
        or match("anchor", name)
        or match("entry", name)
        or (how == HANG and match("wait", name))
        or (how == STALL and match("tick", name))
    )


def _skips(frame: Frame, *uses: str) -> Reason | None:
    """Return why a frame is passed over, or None if it is not."""
    for use in uses:
        rule = match(use, frame.name)
        if rule:
            return Reason(frame, False, rule.id, rule.why)
    return None


def _first(frames: Sequence[Frame], reasons: list[Reason], *uses: str) -> tuple[Frame, str] | None:
    border: Frame | None = None
    before: Reason | None = None  # why the frame above was passed over
    after_lock = False
    for frame in frames:
        reason = _skips(frame, "skip", *uses)
        if reason is None and after_lock:
            wrapper = _skips(frame, "wait")  # tty_lock(), around mutex_lock()
            reason = wrapper if wrapper and wrapper.rule == "wait-lock" else None
        if reason is None or before is not None:
            operation = _operation(before, frame)
            if operation is not None:
                reasons.remove(before)  # type: ignore[arg-type] # _operation() took it
                reasons.append(operation)
                return operation.frame, operation.frame.name
        if reason is None:
            reasons.append(Reason(frame, True, FIRST, "the first that is not machinery"))
            return frame, frame.name
        before = reason if by_ending(frame.name) else None
        after_lock = reason.rule in _LOCKS
        if border is None and reason.rule == _BORDER:
            border = frame
        reasons.append(reason)
    if border is not None:
        reasons.append(Reason(border, True, _BORDER, "nothing stands above the way to user space"))
        return border, border.name
    if frames and frames[0].part == "pc" and len(frames) > 1:
        reasons.append(Reason(frames[0], True, NOTHING_ELSE, "all of the stack is machinery"))
        return frames[0], frames[0].name
    return None


def _operation(above: Reason | None, frame: Frame) -> Reason | None:
    """
    Return why a function that was passed over for its name is blamed after all.

    What a dispatcher called is an operation that somebody registered: a driver's
    ``foo_wait_read()`` under ``vfs_read()`` is the driver's, not a helper.
    """
    rule = match("anchor", frame.name)
    if above is None or rule is None:
        return None
    why = f"{frame.name} called it, which {rule.why}"
    return Reason(above.frame, True, rule.id, why)


def _answer(frame: Frame, use: str, reasons: list[Reason]) -> tuple[Frame, str] | None:
    rule = match(use, frame.name)
    if rule is None:
        return None
    reasons.append(Reason(frame, True, rule.id, rule.why))
    return frame, rule.names.split()[0].rstrip("*")


def _hang(frames: Sequence[Frame], reasons: list[Reason]) -> tuple[Frame, str] | None:
    for frame in frames:
        shared = _answer(frame, "shared", reasons)
        if shared:
            return shared
    return _first(frames, reasons, "wait")


def without_tick(frames: Sequence[Frame], reasons: list[Reason]) -> Sequence[Frame]:
    """Return a stalled CPU's frames without the interrupt by which it was noticed."""
    noticed = next((i for i, frame in enumerate(frames) if match("tick", frame.name)), None)
    if noticed is None:
        return frames
    end = last = noticed
    for i in range(noticed, len(frames)):
        if match("entry", frames[i].name):
            end = i
            break
        if match("tick", frames[i].name) or match("tick-way", frames[i].name):
            last = i
    else:
        end = last
    while end + 1 < len(frames) and match("entry", frames[end + 1].name):
        end += 1
    kept = [frame for frame in frames[:noticed] if frame.part == "pc"]
    for frame in frames[len(kept) : end + 1]:
        rule = next(
            (r for use in ("tick", "tick-way", "entry") if (r := match(use, frame.name))), None
        )
        reasons.append(
            Reason(
                frame,
                False,
                rule.id if rule else "tick",
                rule.why if rule else "inside the interrupt that noticed the stall",
            )
        )
    return [*kept, *frames[end + 1 :]]


def _stall(frames: Sequence[Frame], reasons: list[Reason]) -> tuple[Frame, str] | None:
    frames = without_tick(frames, reasons)
    again = _recursion(frames)
    if again is not None:
        reasons.append(Reason(again, True, "recursion", "it calls itself: most of the stack"))
        return again, again.name
    for frame in frames:
        shared = _answer(frame, "anchor-self", reasons)
        if shared:
            return shared
    for i, frame in enumerate(frames):
        rule = match("anchor", frame.name) or _user_fault(frames, i)
        if rule is None:
            continue
        if i and not match("anchor", frames[i - 1].name):
            above = frames[i - 1]
            for passed in frames[: i - 1]:
                reasons.append(Reason(passed, False, "above", "where the CPU went round is chance"))
            if i > 1 and above.name.replace("compat_", "", 1) == frames[i - 2].name:
                above = frames[i - 2]  # the same operation, entered by a 32-bit program
            reasons.append(
                Reason(above, True, rule.id, f"{frame.name} called it, which {rule.why}")
            )
            return above, above.name
    return _first(frames, reasons)


def _recursion(frames: Sequence[Frame]) -> Frame | None:
    """Return the frame whose function makes up most of a deep stack."""
    names = [frame.name for frame in frames]
    middle = sorted(names)[len(names) // 2] if len(names) >= _DEEP else None
    if middle is None or 2 * names.count(middle) <= len(names):
        return None
    return frames[names.index(middle)]


def _user_fault(frames: Sequence[Frame], i: int) -> Rule | None:
    rule = match("fault", frames[i].name)
    if rule and all(match("fault", f.name) or match("skip", f.name) for f in frames[i:]):
        return rule
    return None
