"""Many crashes: which are one bug, and what is known of it.

Owns the grouping of crashes by signature, what is said of a group, and the hints that
only many crashes give. Pure: works on values; who reads files or starts processes makes
:class:`Crash` values and gets :class:`Group` values. known.py reads local knowledge.

Why hosts and models are compared: one host with many kinds of crash has bad hardware, one
model alone with a crash that others do not have has bad firmware, one crash on many
hosts is the kernel's.
"""

from __future__ import annotations

import re

from btfdbg.lazy_dataclass import dataclass
from btfdbg.report.blame.names import is_general
from btfdbg.report.kinds import KINDS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from btfdbg.report.triage.crash import Crash
    from btfdbg.report.triage.known import Known

_MANY_KINDS = 3  # different crashes of one host that point to its hardware
_MANY_HOSTS = 3  # hosts with one crash that point to the kernel, or to their model


@dataclass(frozen=True, slots=True)
class Group:
    """
    Crashes that are taken for one bug.

    :attr title: The commonest title among them.
    :attr kind: That of the title.
    :attr severity: The highest among them.
    :attr crashes: In the order of time, then of path.
    :attr duplicates: Further dumps or logs of crashes that are in ``crashes``.
    :attr titles: All titles, the commonest first.
    :attr variants: Hash of the stack, and how many crashes have it.
    :attr releases: Kernel, and how many crashes it had; likewise hosts and models.
    :attr first: Earliest time, None if no time is known.
    :attr last: Latest time.
    :attr known: What known.toml says of it.
    """

    title: str
    kind: str
    severity: int
    crashes: tuple[Crash, ...]
    duplicates: tuple[Crash, ...]
    titles: tuple[str, ...]
    variants: tuple[tuple[str, int], ...]
    releases: tuple[tuple[str, int], ...]
    hosts: tuple[tuple[str, int], ...]
    models: tuple[tuple[str, int], ...]
    first: float | None
    last: float | None
    known: tuple[Known, ...] = ()

    @property
    def count(self) -> int:
        """How many crashes there were."""
        return len(self.crashes)


@dataclass(frozen=True, slots=True)
class Hint:
    """What many crashes say together: ``points_to`` is hardware, firmware or kernel."""

    points_to: str
    subject: str
    words: str


class _Sets:
    """Disjoint sets of crashes, each with the module its function lives in."""

    def __init__(self, crashes: Sequence[Crash]) -> None:
        self._parent = list(range(len(crashes)))
        self._module = [crash.signature.module or "" for crash in crashes]

    def root(self, i: int) -> int:
        while self._parent[i] != i:
            self._parent[i] = self._parent[self._parent[i]]
            i = self._parent[i]
        return i

    def join(self, i: int, j: int) -> None:
        """Join two sets, unless their function lives in two modules."""
        i, j = self.root(i), self.root(j)
        mine, theirs = self._module[i], self._module[j]
        if i == j or (mine and theirs and mine != theirs):
            return
        i, j = min(i, j), max(i, j)
        self._parent[j] = i
        self._module[i] = mine or theirs


def _titles(crash: Crash) -> list[str]:
    """What a crash may be joined by of its titles: none if its function is unknown."""
    found = crash.signature
    if found.function is None and KINDS[crash.kind].choice != "nobody":
        return []
    return [found.title, *found.alternatives]


def _keys(crash: Crash, told: Crash | None) -> list[str]:
    """
    Return what a crash may be joined by.

    :param told: Of several files of one crash the one whose titles count. A dump knows more
        than its log, which would join it with what only that log is like.
    """
    same = [f"identity {crash.identity}"] if crash.identity else []
    return same if told is not None and told is not crash else [*same, *_titles(crash)]


def _telling(crashes: Iterable[Crash]) -> dict[str, Crash]:
    """Of each crash of which there are several files the one that tells most: dumps first."""
    best: dict[str, Crash] = {}
    ordered = sorted(crashes, key=lambda c: (not _titles(c), c.source != "dump", c.path))
    for crash in ordered:
        if crash.identity:
            best.setdefault(crash.identity, crash)
    return best


def group(crashes: Iterable[Crash], known: Sequence[Known] = ()) -> tuple[Group, ...]:
    """
    Group crashes, the worst and most frequent first.

    Crashes share a group if they share a title or a declared alternative. A crash whose
    function is unknown stays alone. Dumps and logs of one crash count once.

    :param crashes: In any order; the result does not depend on it.
    :param known: Local knowledge, see :mod:`btfdbg.report.triage.known`.
    """
    ordered = sorted(crashes, key=lambda c: (c.when is None, c.when or 0.0, c.path))
    ordered.sort(key=lambda c: c.signature.module is None)  # modules first: see _Sets
    sets = _Sets(ordered)
    first: dict[tuple[int, str], list[int]] = {}
    telling = _telling(ordered)
    for i, crash in enumerate(ordered):
        for key in _keys(crash, telling.get(crash.identity)):
            heads = first.setdefault((crash.signature.version, key), [])
            for head in heads:
                sets.join(head, i)
            if all(sets.root(head) != sets.root(i) for head in heads):
                heads.append(i)
    members: dict[int, list[Crash]] = {}
    for i, crash in enumerate(ordered):
        members.setdefault(sets.root(i), []).append(crash)
    groups = [_group(ones, known) for ones in members.values()]
    groups.sort(key=lambda g: (-g.severity, -g.count, g.title, g.crashes[0].path))
    return tuple(groups)


def _counted(values: Iterable[str]) -> tuple[tuple[str, int], ...]:
    counts: dict[str, int] = {}
    for value in values:
        if value:
            counts[value] = counts.get(value, 0) + 1
    return tuple(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def _group(crashes: list[Crash], known: Sequence[Known]) -> Group:
    crashes.sort(key=lambda c: (c.source != "dump", c.when is None, c.when or 0.0, c.path))
    unique: dict[str, Crash] = {}
    duplicates = []
    for crash in crashes:
        key = crash.identity or f"path {crash.path}"
        if key in unique:
            duplicates.append(crash)
        else:
            unique[key] = crash
    ones = tuple(sorted(unique.values(), key=lambda c: (c.when is None, c.when or 0.0, c.path)))
    titles = tuple(title for title, _ in _counted(crash.signature.title for crash in ones))
    times = [crash.when for crash in ones if crash.when is not None]
    return Group(
        title=titles[0],
        kind=next(crash.kind for crash in ones if crash.signature.title == titles[0]),
        severity=max(KINDS[crash.kind].severity for crash in ones),
        crashes=ones,
        duplicates=tuple(duplicates),
        titles=titles,
        variants=_counted(crash.signature.stack_hash for crash in ones),
        releases=_counted(crash.release for crash in ones),
        hosts=_counted(crash.host for crash in ones),
        models=_counted(crash.model for crash in ones),
        first=min(times, default=None),
        last=max(times, default=None),
        known=tuple(row for row in known if any(row.covers(crash) for crash in ones)),
    )


def hints(groups: Sequence[Group]) -> tuple[Hint, ...]:
    """
    Return what the groups say together about hardware, firmware and kernel.

    A crash by hand is no evidence; nor is one host or one model if no other is there to
    compare with.
    """
    real = [one for one in groups if one.kind not in ("sysrq", "snapshot")]
    return (*_bad_hosts(real), *_bad_models(real), *_bad_kernels(real))


def _bad_hosts(groups: Sequence[Group]) -> list[Hint]:
    of_host: dict[str, list[Group]] = {}
    for one in groups:
        for host, _ in one.hosts:
            of_host.setdefault(host, []).append(one)
    out = []
    for host, theirs in sorted(of_host.items()):
        alone = [one for one in theirs if len(one.hosts) == 1]
        # A name that several models have is many machines', such as localhost.
        models = {model for one in alone for model, _ in one.models}
        if len(of_host) > 1 and len(alone) >= _MANY_KINDS and len(models) <= 1:
            words = f"{host} had {len(alone)} different crashes that no other host had"
            out.append(Hint("hardware", host, words))
    return out


def _bad_models(groups: Sequence[Group]) -> list[Hint]:
    models = {model for one in groups for model, _ in one.models}
    out = []
    for one in groups:
        if len(models) > 1 and len(one.models) == 1 and len(one.hosts) >= _MANY_HOSTS:
            model = one.models[0][0]
            words = f"{one.title}: {len(one.hosts)} hosts, all of one model, {model}"
            out.append(Hint("firmware", model, words))
    return out


def _bad_kernels(groups: Sequence[Group]) -> list[Hint]:
    return [
        Hint("kernel", one.title, f"{one.title}: {len(one.hosts)} hosts of several models")
        for one in groups
        if len(one.models) > 1 and len(one.hosts) >= _MANY_HOSTS and one.kind != "hardware"
    ]


# kdump-utils: HOST-YYYY-MM-DD-HH:MM:SS; kdump-tools: YYYYMMDDHHMM, dump.…, dmesg.…
_KDUMP_UTILS = re.compile(
    r"(?P<host>[\w.:-]+?)-(\d{4})[-.](\d\d)[-.](\d\d)[-.](\d\d)[:.](\d\d)[:.](\d\d)"
)
_KDUMP_TOOLS = re.compile(
    r"(?:(?:dump|dmesg|vmcore-dmesg)\.)?(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(?:\.\w+)*"
)
_NOBODY = ("127.0.0.1", "localhost", "::1")


def facts_of_path(path: str) -> tuple[str, float | None]:
    """
    Return the host and the time that the folders of /var/crash tell.

    :return: The host, empty if the path has none, and seconds since 1970 (the folder's
        time is taken for UTC), None if it has none.

    >>> facts_of_path("/var/crash/10.0.0.7-2026-11-29-21:00:36/vmcore")
    ('10.0.0.7', 1795986036.0)
    """
    host, when = "", None
    for part in reversed(path.split("/")):
        match = _KDUMP_UTILS.fullmatch(part)
        if match:
            host = "" if match["host"] in _NOBODY else match["host"]
            return host, _seconds([int(group) for group in match.groups()[1:]])
        match = _KDUMP_TOOLS.fullmatch(part)
        if match and when is None:
            when = _seconds([int(group) for group in match.groups()])
    return host, when


def _seconds(parts: Sequence[int]) -> float | None:
    from datetime import datetime, timezone

    try:
        return datetime(*parts, tzinfo=timezone.utc).timestamp()  # type: ignore[misc,arg-type]
    except ValueError:
        return None


def is_weak(crash: Crash) -> bool:
    """Say whether a title is too little to call two crashes one bug without a look."""
    found = crash.signature
    return crash.corrupted or found.function is None or is_general(found.function)
