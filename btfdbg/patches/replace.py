"""Put functions of ours in the places of drgn's, wherever drgn holds them.

Owns the going round: drgn's modules import each other's functions by name, and its tables of
commands hold functions too, so that each keeps references of its own. Which functions are
replaced, and by what, is decided by the caller.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping, MutableMapping
from types import ModuleType
from typing import Any


def replace_in_drgn(replacements: Mapping[Callable[..., Any], Callable[..., Any]]) -> None:
    """
    Replace functions in every module of drgn's that has been imported, in one round.

    :param replacements: drgn's function to the one in its place.
    """
    by_id = _by_id(replacements)
    for user in tuple(sys.modules.values()):
        if user.__name__.partition(".")[0] == "drgn":
            _replace(by_id, user)


def replace_in_module(
    replacements: Mapping[Callable[..., Any], Callable[..., Any]], module: ModuleType
) -> None:
    """Replace functions in one module of drgn's."""
    _replace(_by_id(replacements), module)


def _by_id(replacements: Mapping[Callable[..., Any], Callable[..., Any]]) -> dict[int, Any]:
    """By identity: not everything that a module holds can be hashed."""
    return {id(original): replacement for original, replacement in replacements.items()}


def _replace(by_id: Mapping[int, Any], holder: Any) -> None:
    for name, value in list(vars(holder).items()):
        replacement = by_id.get(id(value))
        if replacement is not None:
            setattr(holder, name, replacement)


def replace_in_commands(
    replacements: Mapping[Callable[..., Any], Callable[..., Any]], commands: Iterable[Any]
) -> None:
    """
    Replace functions that drgn's command objects hold.

    :param commands: Objects of drgn's crash namespace.
    """
    by_id = _by_id(replacements)
    for command in commands:
        _replace(by_id, command)


def replace_in_subcommands(
    replacements: Mapping[Callable[..., Any], Callable[..., Any]],
    subcommands: MutableMapping[str, Any],
) -> None:
    """
    Replace functions that ``foreach`` runs.

    :param subcommands: Name to a named tuple of drgn's that has a ``func``.
    """
    by_id = _by_id(replacements)
    for name, subcommand in list(subcommands.items()):
        replacement = by_id.get(id(subcommand.func))
        if replacement is not None:
            subcommands[name] = subcommand._replace(func=replacement)
