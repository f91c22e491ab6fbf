"""The variable database's source: text that people review and a diff shows well.

Owns the notation and the merging of extracted rows into it. Knows neither drgn nor
the compiled form.

One line per variable and type, sorted by name::

    block_class: struct class  # any 5.10-6.1
    block_class: const struct class  # any 6.12+
    hpet_msi_domain_info: struct msi_domain_info  # amd64-cloud 6.1; amd64-full 5.10-6.1
    ext4_fs_type@ext4: struct file_system_type  # *
    contig_page_data: struct pglist_data  # curated

``name@module`` is a module's variable. After ``#`` stand the kernels in which DWARF
says so: ``*`` for all, else series (``6.12+``: all from there on), for ``any`` kernel, or
by architecture, or by flavour (``amd64-cloud``) where those differ. So a new kernel at
the end of a flavour's series changes only the lines of what it changed. The kernels
themselves are listed in the header::

    kernel amd64-cloud 6.12 6.12.117+deb13-cloud-amd64 x86_64

``ro`` before a type: it is not const, and yet the compiler put the variable into
read-only data, because nothing writes it. ``tail2`` before a type: of the array's
elements, the last two are all zeros.

The header says how arrays usually end, by the type of their elements (and with how many
names of how many that was found); only other ends are marked in the lines::

    tail 1 411/414 struct attribute *
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import lru_cache

from btfdbg.arch import by_name
from btfdbg.errors import DebugInfoError
from btfdbg.lazy_dataclass import dataclass
from btfdbg.lazy_pattern import pattern

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pathlib import Path

CURATED = "curated"
_ANY = "any"
_KNOWN_TEXTS = 1 << 13
_SERIES = pattern(r"(\d+)\.(\d+)")
_LINE = pattern(r"([\w.$]+)(?:@(\S+))?: (.+?)  # (.+)")


@dataclass(frozen=True, slots=True)
class Kernel:
    """
    A kernel whose variables are in the database.

    :ivar flavour: as Debian calls its kernel packages, the architecture first: ``amd64-cloud``.
    :ivar series: ``6.12``.
    :ivar release: as ``uname -r`` prints it.
    :ivar machine: as ``uname -m`` prints it.
    """

    flavour: str
    series: str
    release: str
    machine: str

    @property
    def version(self) -> tuple[int, int]:
        """The series as numbers, to order by."""
        return series_version(self.series)

    @classmethod
    def of(cls, release: str, machine: str) -> Kernel:
        """Return the entry for a release, its flavour guessed from Debian's naming."""
        row = by_name(machine)
        arch = machine if row is None else row.debian
        kind = next((f for f in ("cloud", "rt", "16k") if f in release.split("-")), "full")
        return cls(f"{arch}-{kind}", series_of(release), release, machine)


@dataclass(frozen=True, slots=True)
class Entry:
    """
    One line: a variable has a type in some kernels.

    :ivar module: "" for vmlinux.
    :ivar kernels: releases; empty for a curated line.
    """

    name: str
    module: str
    type: str
    kernels: frozenset[str]

    @property
    def key(self) -> tuple[str, str, str]:
        return (self.name, self.module, self.type)


@dataclass(frozen=True, slots=True)
class AnnotatedType:
    """
    A type with what else a line says of the variable.

    :ivar readonly: not const, but in read-only data.
    :ivar tail: all-zero elements at the array's end; None for as many as usual.
    """

    type: str
    readonly: bool = False
    tail: int | None = None

    def __str__(self) -> str:
        ro = "ro " if self.readonly else ""
        return f"{ro}{self.type}" if self.tail is None else f"{ro}tail{self.tail} {self.type}"

    @staticmethod
    def parse(text: str) -> AnnotatedType:
        """Split a line's type column; each of the few thousand there are is split once."""
        return _parsed(text)


@lru_cache(maxsize=_KNOWN_TEXTS)
def _parsed(text: str) -> AnnotatedType:
    rest = text.removeprefix("ro ")
    readonly = rest != text
    mark, space, type_ = rest.partition(" ")
    zeros = mark.removeprefix("tail")
    if space and zeros != mark and zeros.isdecimal():
        return AnnotatedType(type_, readonly, int(zeros))
    return AnnotatedType(rest, readonly)


def series_of(release: str) -> str:
    """Return ``6.12`` for ``6.12.117+deb13-cloud-amd64``; "" if it does not start so."""
    match = _SERIES.match(release)
    return match[0] if match else ""


def series_version(series: str) -> tuple[int, int]:
    """Return ``(6, 12)`` for ``6.12`` or a longer release; ``(0, 0)`` for neither."""
    match = _SERIES.match(series)
    return (int(match[1]), int(match[2])) if match else (0, 0)


@dataclass(frozen=True, slots=True)
class TrailingZeros:
    """
    How the arrays of one type of element end.

    :ivar zeros: how many all-zero elements most of them have at their end.
    :ivar agree: names whose arrays end so.
    :ivar total: names with an array of this type that has contents.
    """

    zeros: int
    agree: int
    total: int


class TextDatabase:
    """All kernels and entries of the source."""

    def __init__(self, kernels: Iterable[Kernel] = (), entries: Iterable[Entry] = ()) -> None:
        self.kernels: dict[str, Kernel] = {k.release: k for k in kernels}
        self.tails: dict[str, TrailingZeros] = {}
        self._entries: dict[tuple[str, str, str], set[str]] = {}
        # What is written by hand holds for kernels that nobody extracted, too.
        self._curated: set[tuple[str, str, str]] = set()
        for entry in entries:
            self._entries.setdefault(entry.key, set()).update(entry.kernels)

    def __iter__(self) -> Iterator[Entry]:
        for key, kernels in sorted(self._entries.items()):
            yield Entry(*key, frozenset(kernels))
            if kernels and key in self._curated:
                yield Entry(*key, frozenset())

    def __len__(self) -> int:
        return len(self._entries)

    def add_kernel(self, kernel: Kernel) -> None:
        """Add a kernel, or start it anew: what was known of it is forgotten."""
        self.kernels[kernel.release] = kernel
        for key, kernels in list(self._entries.items()):
            if kernel.release in kernels:
                kernels.discard(kernel.release)
                if not kernels:
                    del self._entries[key]

    def add(self, kernel: Kernel, name: str, module: str, type_: str) -> None:
        """Record one variable of a kernel."""
        self._entries.setdefault((name, module, type_), set()).add(kernel.release)

    # Files

    @classmethod
    def read(cls, *paths: Path) -> TextDatabase:
        """
        Read source files; kernels may be declared in any of them.

        :raises DebugInfoError: a line is not in the notation; the message has file and line.
        """
        database = cls()
        lines: list[tuple[Path, int, str]] = []
        for path in paths:
            try:
                text = path.read_text(encoding="utf-8")
            except (OSError, UnicodeDecodeError) as e:
                raise DebugInfoError(f"{path}: {e}", step="vars") from e
            for number, line in enumerate(text.splitlines(), 1):
                if line.startswith("kernel "):
                    words = line.split()
                    if len(words) != 5:
                        raise DebugInfoError(f"{path}:{number}: a kernel has 4 fields", step="vars")
                    database.kernels[words[3]] = Kernel(*words[1:])
                elif line.startswith("tail "):
                    database._add_tail(line, f"{path}:{number}")
                elif line and not line.startswith("#"):
                    lines.append((path, number, line))
        flavours = Flavours(database.kernels.values())
        for path, number, line in lines:
            match = _LINE.fullmatch(line)
            if match is None:
                raise DebugInfoError(f"{path}:{number}: not 'name: type  # kernels'", step="vars")
            try:
                kernels = flavours.parse(match[4])
            except ValueError as e:
                raise DebugInfoError(f"{path}:{number}: {e}", step="vars") from e
            key = (match[1], match[2] or "", match[3])
            database._entries.setdefault(key, set()).update(kernels)
            if not kernels:
                database._curated.add(key)
        return database

    def _add_tail(self, line: str, where: str) -> None:
        try:
            _, zeros, share, element = line.split(" ", 3)
            agree, _, total = share.partition("/")
            self.tails[element] = TrailingZeros(int(zeros), int(agree), int(total))
        except ValueError:
            raise DebugInfoError(f"{where}: not 'tail N agree/total type'", step="vars") from None

    def write(self, path: Path, header: str) -> None:
        """
        Write the source.

        :param header: comment lines that open the file, each starting with "#".
        """
        flavours = Flavours(self.kernels.values())
        with path.open("w", encoding="utf-8") as file:
            file.write(header)
            for kernel in flavours.kernels:
                fields = (kernel.flavour, kernel.series, kernel.release, kernel.machine)
                file.write(f"kernel {' '.join(fields)}\n")
            for element, tail in sorted(self.tails.items()):
                file.write(f"tail {tail.zeros} {tail.agree}/{tail.total} {element}\n")
            for entry in self:
                at = f"@{entry.module}" if entry.module else ""
                text = flavours.format(entry.kernels)
                file.write(f"{entry.name}{at}: {entry.type}  # {text}\n")


class Flavours:
    """Sets of kernels in words."""

    def __init__(self, kernels: Iterable[Kernel]) -> None:
        self.kernels = sorted(kernels, key=lambda k: (k.flavour, k.version, k.release))
        self._flavours: dict[str, list[Kernel]] = {}
        for kernel in self.kernels:
            self._flavours.setdefault(kernel.flavour, []).append(kernel)
        self._groups = sorted({flavour.partition("-")[0] for flavour in self._flavours})
        self._releases = {
            flavour: {kernel.release for kernel in kernels}
            for flavour, kernels in self._flavours.items()
        }
        self._all = frozenset(k.release for k in self.kernels)
        self._parsed: dict[str, frozenset[str]] = {}
        self._formatted: dict[frozenset[str], str] = {}

    def format(self, releases: frozenset[str]) -> str:
        text = self._formatted.get(releases)
        if text is None:
            text = self._formatted[releases] = self._format(releases)
        return text

    def _format(self, releases: frozenset[str]) -> str:
        if not releases:
            return CURATED
        if releases == self._all:
            return "*"
        whole = self._format_group(_ANY, releases)
        if whole is not None:
            return whole
        parts = []
        for group in self._groups:
            part = self._format_group(group, releases)
            if part is not None:
                parts.append(part)
                continue
            for flavour, kernels in self._flavours.items():
                if flavour.startswith(f"{group}-") and not releases.isdisjoint(
                    self._releases[flavour]
                ):
                    parts.append(f"{flavour} {' '.join(_runs(kernels, releases))}")
        return "; ".join(part for part in parts if part)

    def _format_group(self, group: str, releases: frozenset[str]) -> str | None:
        """One range of series that holds for all flavours of a group, None without one."""
        kernels = self._in_group(group)
        have = [k for k in kernels if k.release in releases]
        if not have:
            return ""
        first, last = min(have, key=lambda k: k.version), max(have, key=lambda k: k.version)
        between = [k for k in kernels if first.version <= k.version <= last.version]
        if len(between) != len(have):
            return None
        if last.version == max(k.version for k in kernels):
            return f"{group} {first.series}+"
        return f"{group} {first.series}" + (
            f"-{last.series}" if last.series != first.series else ""
        )

    def _in_group(self, group: str) -> list[Kernel]:
        return [k for k in self.kernels if group == _ANY or k.flavour.startswith(f"{group}-")]

    def _parse_group(self, group: str, runs: list[str]) -> Iterator[str]:
        kernels = self._in_group(group)
        for run in runs:
            first, _, last = run.rstrip("+").partition("-")
            low, high = series_version(first), series_version(last or first)
            for kernel in kernels:
                if low <= kernel.version and (run.endswith("+") or kernel.version <= high):
                    yield kernel.release

    def parse(self, text: str) -> frozenset[str]:
        parsed = self._parsed.get(text)
        if parsed is None:
            parsed = self._parsed[text] = self._parse(text)
        return parsed

    def _parse(self, text: str) -> frozenset[str]:
        if text == CURATED:
            return frozenset()
        if text == "*":
            return self._all
        found: set[str] = set()
        for part in text.split("; "):
            flavour, *runs = part.split()
            if runs and (flavour == _ANY or flavour in self._groups):
                found.update(self._parse_group(flavour, runs))
                continue
            kernels = self._flavours.get(flavour)
            if kernels is None or not runs:
                raise ValueError(f"no kernels in flavour {flavour!r}")
            labels = {_label(kernels, i): i for i in range(len(kernels))}
            for run in runs:
                first, _, last = run.rstrip("+").partition("-")
                try:
                    start = labels[first]
                    end = len(kernels) - 1 if run.endswith("+") else labels[last or first]
                except KeyError as e:
                    raise ValueError(f"no kernel {e.args[0]!r} in flavour {flavour!r}") from None
                found.update(k.release for k in kernels[start : end + 1])
        return frozenset(found)


def _runs(kernels: list[Kernel], releases: frozenset[str]) -> Iterator[str]:
    """The ranges of one flavour's kernels."""
    at = 0
    while at < len(kernels):
        end = at
        while end < len(kernels) and kernels[end].release in releases:
            end += 1
        if end > at:
            first, last = _label(kernels, at), _label(kernels, end - 1)
            if end == len(kernels):
                yield f"{first}+"
            else:
                yield first if end == at + 1 else f"{first}-{last}"
        at = end + 1


def _label(kernels: list[Kernel], index: int) -> str:
    """A kernel's name within its flavour: the series, or the version if the series has several."""
    kernel = kernels[index]
    if sum(k.series == kernel.series for k in kernels) == 1:
        return kernel.series
    return kernel.release.partition("-")[0]
