"""Completion in the arguments of a command.

Owns what each command's operands are. drgn's commands do not say, so there is
a table here; ours say it where they are defined. Options and their help come
from the commands' own parsers.
"""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Mapping
from typing import Any

from drgn.commands import Command

from btfdbg.btf import Kind
from btfdbg.commands import namespace
from btfdbg.commands.define import own
from btfdbg.commands.markup import plain
from btfdbg.commands.text import one_line
from btfdbg.errors import BtfdbgError
from btfdbg.program import homonyms
from btfdbg.program.session import Session
from btfdbg.repl.complete import python
from btfdbg.repl.complete.model import MAX_SHOWN, Completion
from btfdbg.repl.complete.sources import sources_of

# What the operands of drgn's commands are.
_OPERANDS: dict[str, tuple[str, ...]] = {
    "struct": ("struct", "symbol"),
    "union": ("union", "symbol"),
    "*": ("any struct", "symbol"),
    "bt": ("pid",),
    "set": ("pid", "word scroll", "word radix"),
    "files": ("pid",),
    "vm": ("pid",),
    "task": ("pid",),
    "ps": ("pid",),
    "sig": ("pid",),
    "net": (),
    "foreach": ("foreach", "pid"),
    "mod": ("module",),
    "sym": ("symbol",),
    "rd": ("address",),
    "p": ("variable",),
    "search": ("symbol",),
    "tree": ("address",),
    "waitq": ("address", "member"),
    "vtop": ("symbol",),
    "kmem": ("symbol",),
    "crash": ("command",),
}

# (command, option) to what the option's value is.
_VALUES: dict[tuple[str, str], str] = {
    ("kmem", "-s"): "slab",
    ("kmem", "-S"): "slab",
    ("kmem", "-I"): "slab",
    ("list", "-s"): "member",
    ("list", "-S"): "member",
    ("list", "-o"): "member",
    ("list", "-h"): "address",
    ("list", "-H"): "address",
    ("list", "-l"): "member",
    ("tree", "-s"): "member",
    ("tree", "-S"): "member",
    ("tree", "-o"): "member",
    ("tree", "-r"): "member",
    ("tree", "-N"): "address",
    ("struct", "-l"): "member",
    ("union", "-l"): "member",
    ("task", "-R"): "task member",
    ("mod", "-s"): "module",
    ("mod", "-d"): "module",
    ("net", "-n"): "pid",
    ("diffstruct", "-t"): "type",
    ("diffstruct", "--type"): "type",
    ("report", "-s"): "section",
    ("report", "--section"): "section",
    ("frame", "-t"): "pid",
}

_FOREACH = (
    ("user", "user tasks"), ("kernel", "kernel threads"), ("gleader", "thread group leaders"),
    ("active", "on a CPU"), ("RU", "running"), ("IN", "interruptible"), ("UN", "uninterruptible"),
    ("DE", "dead"), ("ST", "stopped"), ("ZO", "zombie"), ("ID", "idle"),
    ("bt", "stack traces"), ("files", "open files"), ("net", "sockets"), ("ps", "process status"),
    ("set", "context"), ("sig", "signals"), ("task", "task_struct"), ("vm", "address space"),
    ("vtop", "translate"),
)  # fmt: skip

_FILTERS = (
    ("grep", "lines that match"), ("head", "first lines"), ("tail", "last lines"),
    ("less", "pager"), ("sort", "sort lines"), ("uniq", "drop repeated lines"),
    ("wc -l", "count lines"), ("awk", "columns"), ("sed", "edit"), ("cut", "columns"),
    ("tee", "into a file as well"), ("column -t", "align"), ("jq", "query JSON"),
)  # fmt: skip

_NAMED = re.compile(r"\{([\w,]+)\}")
_REDIRECT = re.compile(r"(?:^|\s)\d?(>>|>|<)\s*(\S*)\Z")


def complete_arguments(
    name: str,
    command: Command[Any],
    text: str,
    begin: int,
    session: Session,
    names: Mapping[str, Any],
) -> list[Completion]:
    """
    Suggestions for a command's arguments.

    :param text: The line up to the cursor.
    :param begin: Where the arguments start in it.
    """
    rest = text[begin:]
    pipeline = rest.rfind("|")
    if pipeline >= 0:
        return _words(_FILTERS, text, begin + pipeline + 1)
    redirect = _REDIRECT.search(rest)
    if redirect and name not in ("eval", "py"):
        return files(redirect[2], begin + redirect.start(2))
    start = _argument_start(rest) + begin
    typed = text[start:]
    if name in ("p/", "x/"):
        return _formatted(text, begin, session, names)
    if name == "sh":
        return files(typed, start)
    if name == "source":
        return files(typed, start)
    parser = namespace.parser_of(command)
    if typed.startswith("-"):
        return _options(own(session.prog, name) is None, parser, typed, start)
    previous = rest[: start - begin].split()
    if previous:
        wanted = _VALUES.get((name, previous[-1]))
        choices = _choices(parser, previous[-1])
        if choices:
            return [Completion(c, start, c) for c in choices if c.startswith(typed)]
        if wanted is not None:
            return _operand(wanted, name, text, start, session, names)
        if _takes_value(parser, previous[-1]):
            return []
    found: dict[str, Completion] = {}
    defined = own(session.prog, name)
    for wanted in defined.complete if defined is not None else _OPERANDS.get(name, ()):
        for completion in _operand(wanted, name, text, start, session, names):
            found.setdefault(completion.text, completion)
    for word in _words_of_operands(parser):
        if word.startswith(typed):
            found.setdefault(word, Completion(word, start, word))
    return list(found.values())[:MAX_SHOWN]


def _argument_start(rest: str) -> int:
    """Where the last argument starts: after the last space outside brackets and quotes."""
    start = depth = 0
    quote = ""
    for i, char in enumerate(rest):
        if quote:
            quote = "" if char == quote else quote
        elif char in "'\"":
            quote = char
        elif char in "([{":
            depth += 1
        elif char in ")]}":
            depth = max(depth - 1, 0)
        elif char.isspace() and not depth:
            start = i + 1
    return start


def _operand(
    wanted: str, name: str, text: str, start: int, session: Session, names: Mapping[str, Any]
) -> list[Completion]:
    typed = text[start:]
    sources = sources_of(session)
    kind, _, word = wanted.partition(" ")
    if wanted == "pid":
        return [
            Completion(pid, start, pid, comm)
            for pid, comm in sources.pids()
            if pid.startswith(typed) or (typed and typed.lower() in comm.lower())
        ]
    if wanted == "slab":
        return _listed(sources.slabs(), typed, start)
    if wanted == "section":
        from btfdbg.report.whole import section_titles

        return _listed(section_titles(), typed, start)
    if wanted == "part":
        from btfdbg.commands.prompt.ctx import SECTIONS

        return _listed([(part, "only this part") for part in SECTIONS], typed, start)
    if wanted == "module":
        return _listed(sources.modules(), typed, start)
    if wanted == "command":
        known = namespace.commands(session.prog)
        return [
            Completion(n, start, n, c.description())
            for n, c in known.items()
            if n.startswith(typed)
        ]
    if wanted in ("struct", "union", "any struct", "member"):
        return type_path(
            typed,
            start,
            session,
            {"struct": python.STRUCTS, "union": python.UNIONS}.get(
                wanted, frozenset((Kind.STRUCT, Kind.UNION, Kind.TYPEDEF))
            ),
        )
    if wanted == "task member":
        return _task_members(typed, start, session)
    if wanted == "type" and ("." in typed or "#" in typed) and typed[:1] not in ("'", '"'):
        return type_path(typed, start, session, frozenset())
    if wanted == "type":
        keyword = text[:start].split()[-1:]
        if keyword and keyword[0] in ("struct", "union", "enum"):
            begin = start - len(text[:start]) + text[:start].rindex(keyword[0])
            found = python.types_(text[begin:], begin, sources)
            return [c for c in found if c.start >= start]
        return python.types_(typed.lstrip("'\""), start + (typed[:1] in ("'", '"')), sources)
    if wanted == "symbol":
        if typed.startswith("$"):
            return python.dollar(typed[1:], start + 1, session)
        return python.symbols(typed, start, sources) if typed.isidentifier() else []
    if wanted in ("address", "variable"):
        return _expression(text, start, session, names)
    if wanted == "mark":
        return python.dollar(typed.lstrip("$"), start + typed.startswith("$"), session)
    if kind == "word":
        return [Completion(word, start, word, "option")] if word.startswith(typed) else []
    if wanted == "foreach":
        return _words(_FOREACH, text, start)
    return []


def _expression(
    text: str, start: int, session: Session, names: Mapping[str, Any]
) -> list[Completion]:
    """An expression over the prompt's names and the kernel's variables."""
    typed = text[start:]
    if typed.isidentifier():
        found = python.symbols(typed, start, sources_of(session))
        own = [n for n in names if n.startswith(typed) and not n.startswith("_")]
        return [*found, *(Completion(n, start, n, "name") for n in own)][:MAX_SHOWN]
    from btfdbg.repl.complete.c import complete_c

    of_c = complete_c(typed, start, session)
    if of_c or "#" in typed:  # of one of several types; to Python what follows is a comment
        return of_c
    return [
        Completion(c.text, c.start + start, c.display, c.meta)
        for c in python.complete_python(typed, len(typed), session, names, kernel_names=True)
    ]


def _formatted(
    text: str, begin: int, session: Session, names: Mapping[str, Any]
) -> list[Completion]:
    """``p/x EXPR``: the letter is part of the rest, the expression goes to the end."""
    rest = text[begin:]
    match = re.match(r"\S*\s+", rest)
    return _expression(text, begin + match.end(), session, names) if match else []


def type_path(typed: str, start: int, session: Session, kinds: frozenset[int]) -> list[Completion]:
    """``task_struct.comm,pid``: a type (``irq_info#2`` too), then members by commas."""
    name, dot, path = typed.partition(".")
    base, mark, _ = name.partition("#")
    if not dot and mark:
        return _same_name(base, name, start, session)
    if not dot:
        return python.types_(typed, start, sources_of(session), bare=True, kinds=kinds)
    for spelling in (f"struct {name}", f"union {name}", name):
        try:
            type_ = homonyms.chosen(session, spelling) or session.prog.type(spelling)
            break
        except (LookupError, SyntaxError, BtfdbgError):
            continue
    else:
        return []
    last = path.rpartition(",")[2]
    return python.member_path(type_, last, start + len(typed) - len(last))


def _same_name(base: str, typed: str, start: int, session: Session) -> list[Completion]:
    """``NAME#1``, ``NAME#2`` of several types of a name, with what each is."""
    found = [one for word in ("struct", "union") for one in homonyms.homonyms(session, word, base)]
    texts = [(f"{base}#{one.number}", one.about()) for one in found]
    return _listed(texts, typed, start) if len(found) > 1 else []


def _task_members(typed: str, start: int, session: Session) -> list[Completion]:
    try:
        type_ = session.prog.type("struct task_struct")
    except LookupError:
        return []
    last = typed.rpartition(",")[2]
    return python.member_path(type_, last, start + len(typed) - len(last))


def _listed(found: list[tuple[str, str]], typed: str, start: int) -> list[Completion]:
    low = typed.lower()
    matching = [item for item in found if low in item[0].lower()]
    matching.sort(key=lambda item: (not item[0].lower().startswith(low), item[0]))
    return [Completion(name, start, name, meta) for name, meta in matching[:MAX_SHOWN]]


def _words(words: tuple[tuple[str, str], ...], text: str, begin: int) -> list[Completion]:
    typed = text[begin:].lstrip()
    start = len(text) - len(typed)
    return [Completion(w, start, w, meta) for w, meta in words if w.startswith(typed)]


# Options


def _options(
    from_drgn: bool, parser: argparse.ArgumentParser | None, typed: str, start: int
) -> list[Completion]:
    found: dict[str, str] = {}
    for action in parser._actions if parser is not None else ():
        for option in action.option_strings:
            help_ = action.help if action.help not in (None, argparse.SUPPRESS) else ""
            found[option] = one_line(plain(str(help_).replace("%%", "%")), 70)
    if from_drgn:
        found.setdefault("--json", "print its tables as JSON")
        found.setdefault("--help", "explain the command")
    return [
        Completion(o, start, o, h)
        for o, h in sorted(found.items(), key=_option_key)
        if o.startswith(typed)
    ]


def _option_key(item: tuple[str, str]) -> tuple[bool, str]:
    return item[0].startswith("--"), item[0].lower()


def _choices(parser: argparse.ArgumentParser | None, option: str) -> list[str]:
    action = parser._option_string_actions.get(option) if parser is not None else None
    if action is None:
        return []
    if action.choices:
        return [str(c) for c in action.choices]
    # drgn's tree takes abbreviations as well, and so names its choices in the help only.
    named = _NAMED.fullmatch(str(action.metavar))
    return named[1].split(",") if named else []


def _words_of_operands(parser: argparse.ArgumentParser | None) -> list[str]:
    """The words that operands may be, where those are a few."""
    actions = parser._actions if parser is not None else ()
    return [str(c) for a in actions if not a.option_strings for c in a.choices or ()]


def _takes_value(parser: argparse.ArgumentParser | None, option: str) -> bool:
    action = parser._option_string_actions.get(option) if parser is not None else None
    return action is not None and action.nargs is None


# Files


def files(typed: str, start: int) -> list[Completion]:
    """Files and folders of the machine we run on, for redirections."""
    folder, _, name = typed.rpartition("/")
    path = os.path.expanduser(folder + "/" if "/" in typed else ".")
    found = []
    try:
        with os.scandir(path) as entries:
            for entry in entries:
                if not entry.name.startswith(name) or (entry.name[0] == "." and not name):
                    continue
                if any(c in entry.name for c in " \t\n'\"\\$&;|<>()"):
                    continue  # would need quoting
                found.append((entry.name, entry.is_dir()))
                if len(found) >= 10 * MAX_SHOWN:
                    break
    except OSError:
        return []
    begin = start + len(typed) - len(name)
    return [
        Completion(n + "/" * is_dir, begin, n + "/" * is_dir, "folder" if is_dir else "file")
        for n, is_dir in sorted(found)[:MAX_SHOWN]
    ]
