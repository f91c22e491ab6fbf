"""The command line as data: the options about a dump, and the subcommands.

Owns what there is and what it means. ``reader`` reads command lines by these tables,
``parser`` makes argparse's parser out of the same for help and mistakes, ``docs/`` the
shell completions and the check of the manual page.

To add a subcommand: a row of :data:`SUBCOMMANDS` and a module of its name in this folder
with ``add_arguments(parser)`` and ``run(args) -> int``; the module's docstring is its help.
"""

from __future__ import annotations

from btfdbg.lazy_dataclass import dataclass

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    Row = tuple[tuple[str, ...], dict[str, Any]]
    """Names of an option, and the keywords of ``ArgumentParser.add_argument()``."""

RUN: tuple[Row, ...] = (
    (
        ("-e",),
        {
            "dest": "code",
            "metavar": "CODE",
            "action": "append",
            "help": "run Python code; may be repeated, each a line or more of one script",
        },
    ),
    (
        ("-x",),
        {
            "dest": "commands",
            "metavar": "COMMAND",
            "action": "append",
            "help": "run a command of the prompt and exit; may be repeated",
        },
    ),
    (
        ("-i",),
        {
            "dest": "inputs",
            "metavar": "FILE",
            "action": "append",
            "default": [],
            "help": "first run the lines of FILE as if they were typed; may be repeated",
        },
    ),
    (
        ("--crashrc",),
        {"action": "store_true", "help": "first of all run the lines of ~/.crashrc"},
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
    (("--source",), {"metavar": "DIR", "help": "the kernel's source tree, for list"}),
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
        ("--unpack",),
        {
            "action": "store_true",
            "help": "unpack a CORE that is compressed (.gz, .xz, .zst, .bz2) into the cache",
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
            "metavar": "LEVEL",
            "help": "messages on stderr of at least this level: debug, info, warning (default),"
            " error, critical or none",
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


@dataclass(frozen=True, slots=True)
class Subcommand:
    """
    A subcommand, ``btfdbg NAME ...``.

    :ivar name: As it is typed; its module has ``_`` for ``-``.
    :ivar usage: What follows the name in the usage line, with the sentence beside it.
    :ivar summary: What it does, in a few words.
    :ivar opens: It takes CORE and the options about a dump as well (:data:`GROUPS`, without
        :data:`RUN`); ``main.open_session(args)`` opens it.
    :ivar own: Short names of those options that mean here what the command of the prompt of
        this name means by them; the long names stay.
    :ivar only_ours: It runs no code of the user's, whose objects may have something to do in
        the end: no script, no check and no command of a folder.
    """

    name: str
    usage: str
    summary: str
    opens: bool = False
    own: tuple[str, ...] = ()
    only_ours: bool = False

    @property
    def module(self) -> str:
        """Where it is."""
        return f"btfdbg.cli.{self.name.replace('-', '_')}"


SUBCOMMANDS: dict[str, Subcommand] = {
    row.name: row
    for row in (
        Subcommand(
            "info",
            "CORE [--json]",
            "what the dump holds and how it was found",
            True,
            only_ours=True,
        ),
        Subcommand(
            "report",
            "CORE | --log FILE",
            "what happened, in a sentence, and the evidence",
            True,
            ("-s",),
        ),
        Subcommand(
            "signature",
            "CORE | --log FILE",
            "what the crash is called, and why (--why)",
            True,
        ),
        Subcommand("triage", "PATH...", "many dumps and logs: which of them are one bug"),
        Subcommand("collect", "CORE FOLDER", "for a kdump hook: report, signature, small dump"),
        Subcommand("trim", "CORE OUT [-x COMMAND]", "a small dump, only what a session needs"),
        Subcommand("isf", "CORE -o FILE", "a symbol table for volatility3", True, only_ours=True),
        Subcommand(
            "export-vmlinux",
            "CORE -o FILE",
            "a vmlinux for crash, gdb and drgn -s",
            True,
            only_ours=True,
        ),
        Subcommand("gdbserver", "CORE", "the dump as a remote target of gdb", True),
        Subcommand("serve", "--stdio", "dumps for an agent (Model Context Protocol)"),
        Subcommand("btf", "VERB ...", "the BTF toolkit"),
        Subcommand("vars", "VERB ...", "the database of variable types", only_ours=True),
    )
}
"""In the order of the usage line."""
