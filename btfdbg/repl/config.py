"""The configuration: ``$XDG_CONFIG_HOME/btfdbg/config.toml`` and ``rc.py``.

Owns the options, their defaults and their checks. Never reads a file from the
current directory or beside the dump: both may have come with the dump. What is
wrong in the file is said once, and the default is used.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from btfdbg.program.extensions import config_dir, own_file

_MAX_FILE = 1 << 20


@dataclass(frozen=True, slots=True)
class Config:
    """
    Options of the prompt.

    :ivar editing_mode: ``emacs`` or ``vi``.
    :ivar theme: ``default``, ``none``, or the name of a Pygments style.
    :ivar complete_while_typing: Open the menu without Tab.
    :ivar suggest_from_history: Show the rest of an earlier line in grey.
    :ivar pager: Long output goes through a pager.
    :ivar toolbar: Show the bottom toolbar.
    :ivar mouse: Let the mouse choose in the menu; the terminal's own selection
        then needs Shift.
    :ivar prompt: The prompt itself.
    :ivar source: Folder of the kernel's source tree, for ``list``.
    """

    editing_mode: str = "emacs"
    theme: str = "default"
    complete_while_typing: bool = True
    suggest_from_history: bool = True
    pager: bool = True
    toolbar: bool = True
    mouse: bool = False
    prompt: str = "btfdbg> "
    source: str = ""
    problems: tuple[str, ...] = field(default=())


_CHOICES = {"editing_mode": ("emacs", "vi")}


def load(path: Path | None = None) -> Config:
    """Read the configuration; problems are part of it, not exceptions."""
    path = config_dir() / "config.toml" if path is None else path
    if not path.exists():
        return Config()
    if not own_file(path):
        return Config(problems=(f"{path}: not read: others may write to it",))
    try:
        if path.stat().st_size > _MAX_FILE:
            return Config(problems=(f"{path}: not read: larger than {_MAX_FILE} bytes",))
        data = _parse(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as e:
        return Config(problems=(f"{path}: {e}",))
    return check(data, str(path))


def _parse(text: str) -> dict[str, Any]:
    """
    TOML text as values.

    Python has a reader since 3.11; for 3.10 the few kinds of value that our
    options have are read here.
    """
    if sys.version_info >= (3, 11):
        import tomllib

        return tomllib.loads(text)
    return parse_simple(text)


def parse_simple(text: str) -> dict[str, Any]:
    """
    ``key = "text"``, ``key = true``, ``key = 1`` and comments, one per line.

    :raises ValueError: anything else.
    """
    found: dict[str, Any] = {}
    for number, line in enumerate(text.splitlines(), 1):
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        key, equals, value = line.partition("=")
        key, value = key.strip(), value.strip()
        if not equals or not key.isidentifier():
            raise ValueError(f"line {number}: key = value was expected")
        if value in ("true", "false"):
            found[key] = value == "true"
        elif re.fullmatch(r"[+-]?[0-9]{1,18}", value):
            found[key] = int(value)  # no option is a number; check() says so
        else:
            found[key] = _text(value, number)
    return found


def _text(value: str, number: int) -> str:
    """A string in single quotes, as it is, or in double quotes, with escapes as in JSON."""
    if len(value) >= 2 and value[0] == value[-1] == "'" and "'" not in value[1:-1]:
        return value[1:-1]
    if value.startswith('"'):
        with suppress(ValueError):
            return str(json.loads(value))
    raise ValueError(f'line {number}: "text", true, false or a number was expected')


def check(data: Mapping[str, Any], path: str) -> Config:
    """Take what is right; say what is not."""
    problems: list[str] = []
    taken: dict[str, Any] = {}
    known = {f.name: f for f in fields(Config) if f.name != "problems"}
    for key, value in data.items():
        if key not in known:
            problems.append(f"{path}: unknown option {key!r}")
            continue
        default = known[key].default
        if type(value) is not type(default):
            problems.append(f"{path}: {key}: {type(default).__name__} was expected")
        elif key in _CHOICES and value not in _CHOICES[key]:
            problems.append(f"{path}: {key}: one of {', '.join(_CHOICES[key])}")
        elif isinstance(value, str) and not value.isprintable():
            problems.append(f"{path}: {key}: control characters")
        else:
            taken[key] = value
    return Config(**taken, problems=tuple(problems))


def rc_file() -> Path | None:
    """The user's start file, if there is one that only the user may write."""
    path = config_dir() / "rc.py"
    return path if path.is_file() and own_file(path) else None
