"""Put the rows of the table in place, and hand out what is private in drgn.

Owns the check that a row fits the installed drgn: its module can be imported, its name is
there, a function takes the parameters that the row was written for. A row that does not fit
is left out and remembered; :func:`note_on` tells a Session so, in one note. What a row does is
in its own file, imported when the row is installed.
"""

from __future__ import annotations

import contextlib
import functools
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

from btfdbg.interrupts import held
from btfdbg.lazy_dataclass import dataclass
from btfdbg.patches import imports, packages
from btfdbg.patches.replace import (
    replace_in_commands,
    replace_in_drgn,
    replace_in_module,
    replace_in_subcommands,
)
from btfdbg.patches.table import CRASH, ROWS, Row, Use

if TYPE_CHECKING:
    from btfdbg.program.session import Session

_STEP = "drgn"
_COMMON = CRASH + "common"
_installed: set[str] = set()
_in_place: set[tuple[str, str, str]] = set()
_everywhere: dict[Any, Any] = {}
_skipped: dict[tuple[str, str, str], Skipped] = {}


class MisfitError(LookupError):
    """A row does not fit the installed drgn."""


@dataclass(frozen=True, slots=True)
class Skipped:
    """
    A row that was left out.

    :ivar why: What does not fit.
    """

    row: Row
    why: str


def install_helpers() -> None:
    """Put in place what concerns drgn's helpers; cheap after the first call."""
    _install("helpers")


def install_commands() -> None:
    """
    Put in place everything; call it when drgn's commands have been imported.

    What is only reached later is looked for now, so that one note says it all.
    """
    _install("helpers")
    if "commands" not in _installed:
        for row in ROWS:
            if row.use is Use.REACHED:
                reach(row.module, row.name)
    _install("commands")


def follow_imports() -> None:
    """
    Put rows in place as the modules that they are about are imported, one by one.

    For who runs a few commands and needs a few modules of drgn's; :func:`install_commands`
    may follow, and does what is left. A row whose module is never imported is not checked.
    """
    if not _installed.isdisjoint(("followed", "commands")):
        return
    with held():
        _installed.add("followed")
        imports.tell(_imported)
        for row in ROWS:
            if row.use is Use.PUT_OFF:
                packages.put_off(row.module, row.name)
        new = _put_all(row for row in ROWS if row.module in sys.modules)
        if new:
            replace_in_drgn(new)
            _replace_in_tables(new)


def _imported(module: ModuleType, within: Sequence[ModuleType]) -> None:
    """A module of drgn's was run: its rows, and what it holds of others' functions."""
    with held():
        replace_in_module(_everywhere, module)
        new = _put_all(row for row in ROWS if row.module == module.__name__)
        if new:
            # In a circle of imports they have taken what is replaced only now.
            for user in (module, *within):
                replace_in_module(new, user)
            if module.__name__.startswith(CRASH):
                _replace_in_tables(new)


def _install(stage: str) -> None:
    if stage in _installed:
        return
    # A second round would go around what the first has put in place.
    with held():
        _installed.add(stage)
        new = _put_all(row for row in ROWS if row.stage == stage)
        if new:
            replace_in_drgn(new)
            _replace_in_tables(new)


def _put_all(rows: Iterable[Row]) -> dict[Any, Any]:
    """Put rows that are not in place; give what has to be replaced in all of drgn."""
    new: dict[Any, Any] = {}
    for row in rows:
        if row.stage == "use":
            continue
        # Followed imports put the module's rows, in their order, within this.
        with contextlib.suppress(ImportError):
            import_module(row.module)
        key = row.module, row.name, row.patch
        if key in _in_place:
            continue
        _in_place.add(key)
        try:
            _put(row, new)
        except MisfitError as e:
            _skip(row, str(e))
    _everywhere.update(new)
    return new


def _replace_in_tables(new: Mapping[Any, Any]) -> None:
    """The commands that are defined so far hold functions too."""
    if _COMMON not in sys.modules:
        return
    namespace = reach(_COMMON, "CRASH_COMMAND_NAMESPACE")
    if namespace is not None:
        held = getattr(namespace, "_commands", {})
        replace_in_commands(new, held.values())
    subcommands = reach(_COMMON, "_CRASH_FOREACH_SUBCOMMANDS")
    if subcommands is not None:
        replace_in_subcommands(new, subcommands)


def _put(row: Row, everywhere: dict[Any, Any]) -> None:
    """Check a row; replace what it replaces, or note it for the round through drgn."""
    target = find(row)
    if not row.patch:
        return
    if row.use is Use.IN_MODULE:
        holder, name = _holder(row)
        setattr(holder, name, _patched(row, getattr(holder, name)))
    elif row.use is Use.EVERYWHERE:
        # A second row for the same function goes around the first.
        patched = _patched(row, everywhere.get(target, target))
        if "." in row.name:
            holder, name = _holder(row)
            setattr(holder, name, patched)
        else:
            everywhere[target] = patched


def _patched(row: Row, original: Callable[..., Any]) -> Callable[..., Any]:
    module, _, name = row.patch.partition(":")
    make = getattr(import_module(f"btfdbg.patches.{module}"), name)
    replacement: Callable[..., Any] = make(original)
    # Documentation, signature and module too: completion and help read them.
    return functools.update_wrapper(replacement, original)


def find(row: Row) -> Any:
    """
    What a row is about in the installed drgn; ``True`` for what only objects of a class have.

    :raises MisfitError: it is not there, or takes other parameters.
    """
    holder, name = _holder(row)
    found = getattr(holder, name, None)
    if found is None:
        if not _set_on_creation(holder, name):
            raise MisfitError(f"{row.module}.{row.name} is not there")
        return True
    if row.parameters is not None:
        code = _code(found)
        if code is None:
            raise MisfitError(f"{row.module}.{row.name} is no function of Python's")
        if row.use is Use.WATCHED:
            missing = [n for n in row.parameters if n not in code.co_varnames + code.co_cellvars]
            if missing:
                raise MisfitError(f"{row.module}.{row.name}() has no variable {missing[0]}")
        else:
            has = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
            if has != row.parameters:
                raise MisfitError(f"{row.module}.{row.name}() takes {', '.join(has) or 'nothing'}")
    return found


def _holder(row: Row) -> tuple[Any, str]:
    """The module or class that has a row's name, and the name."""
    try:
        holder: Any = import_module(row.module)
    except ImportError:
        raise MisfitError(f"there is no {row.module}") from None
    *path, name = row.name.split(".")
    for part in path:
        holder = getattr(holder, part, None)
        if holder is None:
            raise MisfitError(f"{row.module}.{part} is not there")
    return holder, name


def _code(function: Any) -> Any:
    """The code of a function, below what was put around it."""
    for _ in range(8):
        below = getattr(function, "__wrapped__", None)
        if below is None:
            break
        function = below
    return getattr(function, "__code__", None)


def _set_on_creation(cls: Any, name: str) -> bool:
    """Whether the objects of a class have an attribute that the class itself has not."""
    code = getattr(getattr(cls, "__init__", None), "__code__", None)
    return code is not None and name in code.co_names


@functools.cache
def _row(module: str, name: str) -> Row:
    for row in ROWS:
        if row.module == module and row.name == name and row.use is not Use.IN_MODULE:
            return row
    raise KeyError(f"no row for {module}.{name}")


def reach(module: str, name: str) -> Any | None:
    """
    Something private of drgn's that is used as it is.

    >>> reach("drgn.commands._crash.common", "CRASH_COMMAND_NAMESPACE")

    :return: ``None``, and a note for the Session, if the installed drgn has none.
    :raises KeyError: the table has no row for it.
    """
    row = _row(module, name)
    try:
        return find(row)
    except MisfitError as e:
        _skip(row, str(e))
        return None


def import_commands() -> None:
    """Import drgn's commands, which registers them."""
    for row in ROWS:
        if row.use is Use.IMPORTED:
            try:
                import_module(row.module)
                packages.complete(row.module)
            except ImportError as e:
                _skip(row, f"{row.module} cannot be imported: {e}")


def _skip(row: Row, why: str) -> None:
    _skipped.setdefault((row.module, row.name, row.patch), Skipped(row, why))


def skipped() -> tuple[Skipped, ...]:
    """The rows that were left out so far."""
    return tuple(_skipped.values())


def note_on(session: Session) -> None:
    """Tell a Session in one note what was left out; the next command says it, once."""
    if not _skipped:
        return
    text = _text(_skipped.values())
    session.notes[:] = [n for n in session.notes if n.step != _STEP or n.what == text]
    if any(n.step == _STEP for n in session.notes):
        return
    session.note(_STEP, text)
    from btfdbg.vmcore.read_failures import unread

    unread(session.prog).remark(text)


def _text(items: Iterable[Skipped]) -> str:
    import drgn

    said = "; ".join(f"{item.why}, so {item.row.lost}" for item in items)
    return f"drgn {drgn.__version__} is not the one that btfdbg knows: {said}"
