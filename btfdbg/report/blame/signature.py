"""The signature of a crash: a title, a hash of the stack, and what it may be joined by.

Owns the wording of titles and keys and their version. The version is raised whenever a
rule or a wording changes what equal crashes are called, so that stored signatures of two
versions are never compared.

Why two levels: hashes of whole stacks join 2 to 16 % of the reports of one bug, titles by
kind and blamed function nearly all. So the title joins, the hash tells variants apart.
"""

from __future__ import annotations

import itertools

from btfdbg.lazy_dataclass import dataclass
from btfdbg.report.blame.choice import Choice, Reason, choose
from btfdbg.report.blame.names import canonical, is_general
from btfdbg.report.kinds import KINDS, NOBODY

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import Any

    from btfdbg.report.event import Frame

VERSION = 6
_HASHED = 8  # frames that the stack's hash covers

# Kinds whose detail is a class of defect, and so part of the title.
_DETAILED = (
    "bad-access",
    "kasan",
    "kfence",
    "kmsan",
    "kcsan",
    "lockdep",
    "spinlock-bug",
    "preemptible-per-cpu",
    "slab-corruption",
    "out-of-memory",
    "hardware",
    "file-system-error",
    "sysrq",
)


@dataclass(frozen=True, slots=True)
class Signature:
    """
    What a crash is called.

    :attr title: First level: ``kind in function [module]``.
    :attr alternatives: Further keys: two crashes are one bug if they share the title or
        one of these (see :func:`joins`).
    :attr stack_hash: Second level: 16 hex digits over the normalised stack, empty
        without a stack. Crashes of one title and another hash are variants.
    :attr function: The blamed function under its canonical name, or None.
    :attr module: Its module, or None.
    :attr stack: The normalised stack that was hashed, ``function`` or
        ``function [module]`` each.
    :attr reasons: For each frame why it was kept or skipped.
    :attr version: Of the rules; only signatures of one version compare.
    """

    title: str
    alternatives: tuple[str, ...]
    stack_hash: str
    function: str | None
    module: str | None
    stack: tuple[str, ...]
    reasons: tuple[Reason, ...]
    version: int = VERSION


def _qualified(name: str, module: str) -> str:
    return f"{name} [{module}]" if module else name


def signature_of(kind: str, frames: Iterable[Frame], detail: str = "") -> Signature:
    """
    Return the signature of one crash.

    :param kind: A key of :data:`btfdbg.report.kinds.KINDS`.
    :param frames: The stack that decides, innermost first: the function that the
        registers name, then the call trace. For a task that waits its stack; for a stall
        the stack of the CPU that does not answer.
    :param detail: A class of defect for kinds that have some (``use-after-free read``; for
        a bad access what event.py's ``access_class()`` says), never a value of this one
        crash.
    :raises KeyError: There is no such kind.

    >>> signature_of("hung-task", [Frame("schedule"), Frame("jbd2_log_wait_commit")]).title
    'hung task in jbd2_log_wait_commit'
    """
    row = KINDS[kind]
    choice = choose(kind, frames)
    words, function, module = _named(kind, choice, detail)
    stack = tuple(itertools.islice(_normalised(choice.stack), _HASHED))
    return Signature(
        _title(kind, words, function, module),
        _alternatives(words, row.family, function, module) if function else (),
        _digest(row.id, stack),
        function,
        module or None,
        stack,
        choice.reasons,
    )


def _normalised(frames: Iterable[Frame]) -> Iterator[str]:
    """Names for the hash, one for functions of one name: ksys_write() and __arm64_sys_write()."""
    before: tuple[str, str] | None = None
    for frame in frames:
        name = _qualified(canonical(frame.name), frame.module)
        # A function that calls itself does so under its very name.
        if before is None or name != before[0] or frame.name == before[1]:
            yield name
        before = name, frame.name


def title_of(
    kind: str, frames: Iterable[Frame], detail: str = ""
) -> tuple[str, str | None, str | None]:
    """
    Return title, function and module of a crash's signature, without the rest of it.

    Parameters and errors are those of :func:`signature_of`.

    >>> title_of("hung-task", [Frame("schedule"), Frame("jbd2_log_wait_commit")])
    ('hung task in jbd2_log_wait_commit', 'jbd2_log_wait_commit', None)
    """
    words, function, module = _named(kind, choose(kind, frames), detail)
    return _title(kind, words, function, module), function, module or None


def _named(kind: str, choice: Choice, detail: str) -> tuple[str, str | None, str]:
    """Return the kind's words, the blamed function and its module."""
    words = KINDS[kind].words
    if detail and kind in _DETAILED:
        words = f"{words}: {detail}"
    if not choice.frame:
        return words, None, ""
    return words, canonical(choice.name), choice.frame.module


def _title(kind: str, words: str, function: str | None, module: str) -> str:
    if function:
        return f"{words} in {_qualified(function, module)}"
    return words if KINDS[kind].choice == NOBODY else f"{words} (function unknown)"


def _alternatives(words: str, family: str, function: str, module: str) -> tuple[str, ...]:
    names = [_qualified(function, module)]
    if module and not is_general(function):
        names.append(function)  # the same code, built in elsewhere
    keys = [f"{words} in {name}" for name in names[1:]]
    if family:
        keys += [f"{family} in {name}" for name in names]
    return tuple(keys)


def _digest(kind: str, stack: tuple[str, ...]) -> str:
    if not stack:
        return ""
    text = "\n".join((f"v{VERSION}", kind, *stack))
    digest: str = _sha256()(text.encode()).hexdigest()
    return digest[:16]


def _sha256() -> Callable[[bytes], Any]:
    """SHA-256 without OpenSSL, which takes 14 ms to load, where Python has its own."""
    from importlib import import_module

    for name in ("_sha2", "_sha256"):  # since 3.12, before
        try:
            found: Callable[[bytes], Any] = import_module(name).sha256
        except (ImportError, AttributeError):
            continue
        return found
    from hashlib import sha256

    return sha256


def joins(one: Signature, other: Signature) -> bool:
    """
    Say whether two crashes are taken for one bug.

    They are if they share a title or an alternative. Crashes whose function is unknown
    are only joined if their kind has none (out of memory, say), and two functions of one
    name in two modules never are.
    """
    if one.version != other.version:
        return False
    if one.function is None or other.function is None:
        return one.title == other.title and not one.title.endswith("(function unknown)")
    if one.module and other.module and one.module != other.module:
        return False
    return bool({one.title, *one.alternatives} & {other.title, *other.alternatives})


def similarity(one: Signature, other: Signature) -> float:
    """
    Return how alike two stacks are, from 0 to 1: shared functions over all functions.

    Only a hint for a person: never a reason to join.
    """
    mine, theirs = set(one.stack), set(other.stack)
    return len(mine & theirs) / len(mine | theirs) if mine and theirs else 0.0
