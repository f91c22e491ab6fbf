"""The text of a function, out of a kernel tree that the user gave.

Owns which files may be opened, and where in a file a function is defined. The name of a
file comes from a dump, so it is a name within the given folder or nothing: not absolute,
without ``..``, and not through a link that leads out of the folder.

Facts: the kernel's coding style (a function's closing brace stands in column 0, the lines
before its name belong to it); include/linux/syscalls.h (``SYSCALL_DEFINE``);
include/linux/linkage.h (``SYM_FUNC_START`` and its kin).
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path

from btfdbg.errors import DebugInfoError
from btfdbg.frames.sources.names import definition, key_of
from btfdbg.lazy_dataclass import dataclass

_MAX_FILE = 16 << 20
_MAX_LINES = 4000
_BACK = 12
_TOKEN = re.compile(
    r"(?P<skip>//[^\n]*|/\*.*?(?:\*/|\Z)|\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*'"
    r"|^[ \t]*\#(?:\\\n|[^\n])*)"
    r"|(?P<close0>^\})|(?P<open>\{)|(?P<close>\})|(?P<name>[A-Za-z_]\w*)|(?P<other>[();,=])",
    re.M | re.S,
)


@dataclass(frozen=True, slots=True)
class Excerpt:
    """
    Lines of a file.

    :ivar first: number of the first line, from 1.
    :ivar others: lines at which the file defines the function again (another branch of
        an ``#if``).
    """

    file: str
    first: int
    lines: tuple[str, ...]
    others: tuple[int, ...] = ()


def read_source(folder: Path, file: str) -> str:
    """
    Return the text of a file of a kernel tree.

    :param file: a path within the tree, as a dump names it.
    :raises DebugInfoError: it is no name within the folder, or cannot be read.
    """
    parts = file.split("/")
    if not file or file.startswith("/") or "\0" in file or any(p in ("", ".", "..") for p in parts):
        raise DebugInfoError(
            f"{file!r} is no file of a kernel tree", step="list", hint="only such files are opened"
        )
    try:
        root = folder.resolve(strict=True)
        path = (root / file).resolve(strict=True)
        if root != path and root not in path.parents:
            raise DebugInfoError(
                f"{file!r} leads out of {folder}", step="list", hint="it is a link to elsewhere"
            )
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOFOLLOW)
        with os.fdopen(fd, "rb") as opened:
            found = os.fstat(fd)
            if not stat.S_ISREG(found.st_mode) or found.st_size > _MAX_FILE:
                raise DebugInfoError(f"{folder}/{file}: no file of source text", step="list")
            return opened.read(_MAX_FILE).decode("utf-8", "replace")
    except OSError as e:
        raise DebugInfoError(
            f"{folder}: no {file} in it ({e.strerror})",
            step="list",
            hint="is it the tree of this kernel's release?",
        ) from e


def function_text(text: str, file: str, name: str) -> Excerpt | None:
    """
    Return a function's definition; None if the file has none that is found.

    :param text: of the file.
    :param name: of the symbol.
    """
    starts = list(_definitions(text, file, name))
    if not starts:
        return None
    first, end = starts[0]
    lines = text.split("\n")[first - 1 : min(end, first - 1 + _MAX_LINES)]
    return Excerpt(file, first, tuple(lines), tuple(line for line, _ in starts[1:]))


def around(text: str, file: str, line: int, context: int = 8) -> Excerpt | None:
    """Return the lines around one; None if the file is not that long."""
    lines = text.split("\n")
    if not 0 < line <= len(lines):
        return None
    first = max(1, line - context)
    return Excerpt(file, first, tuple(lines[first - 1 : line + context]))


def _definitions(text: str, file: str, name: str) -> Iterator[tuple[int, int]]:
    """First and last line of each definition."""
    plain = definition(name)
    key = key_of(name)
    if file.endswith((".S", ".s")):
        yield from _assembly(text, plain)
        return
    if file.endswith(".rs"):
        yield from _rust(text, plain)
        return
    names = {plain}
    syscall = ""
    if "sys:" in key:
        syscall = key.partition("sys:")[2]
    yield from _c(text, names, syscall)


def _c(text: str, names: set[str], syscall: str) -> Iterator[tuple[int, int]]:
    depth = parens = 0
    begin = -1  # where the definition in hand began; its body is open
    statement = 0  # where the statement in hand began, outside of functions
    wanted = False
    for match in _TOKEN.finditer(text):
        kind, word = match.lastgroup, match.group()
        if kind == "skip":
            if word.lstrip().startswith("#") and depth == 0 and parens == 0 and not wanted:
                statement = match.end()
            continue
        if kind == "close0" or (kind == "close" and depth <= 1):
            if begin >= 0:
                yield _line(text, begin), _line(text, match.start())
                begin = -1
            depth, parens, wanted, statement = 0, 0, False, match.end()
        elif kind == "close":
            depth -= 1
        elif kind == "open":
            if depth == 0 and wanted and parens == 0:
                begin = _first_of(text, statement)
                wanted = False
            depth += 1
        elif depth:
            continue
        elif word == "(":
            parens += 1
        elif word == ")":
            parens = max(0, parens - 1)
        elif word in (";", "=") and parens == 0:
            wanted, statement = False, match.end()
        elif kind == "name" and not wanted:
            follows = text[match.end() : match.end() + 64].lstrip()[:1] == "("
            if parens == 0 and word in names and follows:
                wanted = True
            elif parens == 1 and syscall and word == syscall:
                wanted = _is_syscall(text, match.start())
    return


def _is_syscall(text: str, at: int) -> bool:
    """Whether the first argument of ``SYSCALL_DEFINE3(`` or the like stands there."""
    return re.search(r"SYSCALL(?:32|64)?_DEFINE\w*\(\s*$", text[max(0, at - 48) : at]) is not None


def _first_of(text: str, at: int) -> int:
    """Where the first word behind a place stands, comments left out."""
    while True:
        match = re.compile(r"\s*(?:/\*.*?\*/|//[^\n]*)?", re.S).match(text, at)
        if match is None or match.end() == at:
            return at
        at = match.end()


def _assembly(text: str, name: str) -> Iterator[tuple[int, int]]:
    start = re.compile(
        rf"^\s*(?:SYM_(?:FUNC|CODE|INNER_LABEL|TYPED_FUNC)\w*|ENTRY|_GLOBAL\w*)\(\s*{re.escape(name)}\b"
        rf"|^{re.escape(name)}:",
        re.M,
    )
    end = re.compile(rf"(?:SYM_\w+_END|END|ENDPROC)\(\s*{re.escape(name)}\s*\)")
    for match in start.finditer(text):
        closing = end.search(text, match.end())
        last = _line(text, closing.start()) if closing else _line(text, match.start()) + _BACK
        yield _line(text, match.start() + len(match.group()) - len(match.group().lstrip())), last


def _rust(text: str, name: str) -> Iterator[tuple[int, int]]:
    for match in re.finditer(rf"^([ \t]*)[^\n/]*\bfn\s+{re.escape(name)}\b", text, re.M):
        closing = re.compile(rf"^{match[1]}\}}", re.M).search(text, match.end())
        first = _line(text, match.start())
        yield first, _line(text, closing.start()) if closing else first + _BACK


def _line(text: str, at: int) -> int:
    return text.count("\n", 0, at) + 1
