"""The options about a dump, as data, and the quick way to read them.

Owns what options there are and what they mean. :mod:`btfdbg.cli.parser` makes the
argument parser out of the same table; it says what is wrong and prints the help.

Why two ways: importing argparse and making a parser takes a quarter of the time that
opening a dump and showing a first object takes. A command line without mistakes needs
neither; whatever is not plainly right here is left to argparse, which decides.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any

Row = tuple[tuple[str, ...], dict[str, Any]]
"""Names of an option, and the keywords of ``ArgumentParser.add_argument()``."""

RUN: tuple[Row, ...] = (
    (("-e",), {"dest": "code", "metavar": "CODE", "help": "run Python code"}),
    (
        ("-x",),
        {
            "dest": "commands",
            "metavar": "COMMAND",
            "action": "append",
            "help": "run a command of the prompt and exit; may be repeated",
        },
    ),
)

GIVEN: tuple[Row, ...] = (
    (("--btf",), {"metavar": "FILE", "help": "the kernel's BTF: raw, vmlinux or vmlinuz"}),
    (
        ("--btf-extra",),
        {
            "metavar": "FILE",
            "action": "append",
            "default": [],
            "help": "BTF of variables of the kernel or a module (btf encode-vars), or a folder;"
            " may be repeated",
        },
    ),
    (("--kallsyms",), {"metavar": "FILE", "help": "symbols: System.map or /proc/kallsyms"}),
    (
        ("--vmcoreinfo",),
        {"metavar": "FILE", "help": "VMCOREINFO text, overrides the dump's"},
    ),
    (("--architecture",), {"metavar": "ARCH", "help": "if the dump does not say"}),
    (("--modules-dir",), {"metavar": "DIR", "help": "where the modules' .ko files are"}),
    (
        ("-k", "--live"),
        {"action": "store_true", "help": "look at the running kernel; no CORE is given"},
    ),
    (
        ("--qemu",),
        {"metavar": "ADDRESS", "help": "look at a QEMU guest (QMP socket); no CORE is given"},
    ),
    (
        ("-s", "--symbols"),
        {
            "metavar": "FILE",
            "action": "append",
            "default": [],
            "help": "a file with DWARF, used before BTF; may be repeated",
        },
    ),
    (
        ("--no-cache",),
        {
            "action": "store_true",
            "help": "neither read nor write what earlier runs found out about this kernel",
        },
    ),
)

LOOK: tuple[Row, ...] = (
    (("--color",), {"choices": ("auto", "always", "never"), "default": "auto"}),
    (
        ("--log-level",),
        {
            "choices": ("debug", "info", "warning", "error", "critical", "none"),
            "default": "warning",
            "help": "messages on stderr of at least this level (default: warning)",
        },
    ),
    (
        ("-q", "--quiet"),
        {
            "dest": "log_level",
            "action": "store_const",
            "const": "none",
            "help": "no messages, no banner",
        },
    ),
)

GROUPS: tuple[tuple[str, tuple[Row, ...]], ...] = (
    ("what to run", RUN),
    ("what the dump may lack", GIVEN),
    ("how to say it", LOOK),
)

_FLAGS = ("store_true", "store_const", "version", "count")


def takes_value(keywords: Mapping[str, Any]) -> bool:
    """Whether a value follows an option."""
    return keywords.get("action") not in _FLAGS


def destination(names: Sequence[str], keywords: Mapping[str, Any]) -> str:
    """The attribute that an option sets, as argparse names it."""
    given: str | None = keywords.get("dest")
    if given is not None:
        return given
    name = next((n for n in names if n.startswith("--")), names[0])
    return name.lstrip("-").replace("-", "_")


def table() -> dict[str, tuple[str, dict[str, Any]]]:
    """Each name of each option: where its value goes, and its keywords."""
    return {
        name: (destination(names, keywords), keywords)
        for _, rows in GROUPS
        for names, keywords in rows
        for name in names
    }


def quick(argv: Sequence[str], commands: Sequence[str]) -> tuple[SimpleNamespace, list[str]] | None:
    """
    Read a command line that looks at a dump and has nothing wrong.

    Options may stand before CORE or between CORE and SCRIPT, never after SCRIPT.

    :param commands: The subcommands.
    :return: What argparse would have made of the options, and the operands;
        ``None`` if it is for argparse to say.
    """
    known = table()
    args = SimpleNamespace()
    for dest, keywords in known.values():
        if not hasattr(args, dest) or "default" in keywords:
            default = False if keywords.get("action") == "store_true" else None
            setattr(args, dest, keywords.get("default", default))
    operands: list[str] = []
    tokens = list(argv)
    at = 0
    while at < len(tokens):
        token = tokens[at]
        at += 1
        if token == "--":
            operands.extend(tokens[at:])
            break
        if not token.startswith("-") or token == "-":
            if token in commands and not operands:
                return None
            operands.append(token)
            if len(operands) == (1 if args.live or args.qemu is not None else 2):
                operands.extend(tokens[at:])
                break
            continue
        name, equals, value = token.partition("=")
        if not token.startswith("--"):
            if token[2:3] == "=":
                return None
            name, equals, value = token[:2], token[2:], token[2:]
        if name not in known:
            return None
        dest, keywords = known[name]
        if not takes_value(keywords):
            if equals:
                return None
            setattr(args, dest, keywords.get("const", True))
            continue
        if not equals:
            if at == len(tokens):
                return None
            value = tokens[at]
            at += 1
        if value == "--" or ("choices" in keywords and value not in keywords["choices"]):
            return None
        if keywords.get("action") == "append":
            setattr(args, dest, [*(getattr(args, dest) or ()), value])
        else:
            setattr(args, dest, value)
    return args, operands
