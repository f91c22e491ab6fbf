"""What the finders of one Program have answered, kept for as long as it lives.

drgn asks its finders anew at each ``prog[name]`` and ``prog.type(name)``, and its helpers ask
for the same few dozen names once per task, page or slab cache; most of all they ask whether a
name exists. Owns the memory of answers, "no" among them, and the rule when one may be kept:

* not while a list that answers depend on is being read (:meth:`Answers.unfinished`), nor when
  such a list became whole meanwhile: what was missing then may be there the next time;
* not when a failure shaped it (:meth:`Answers.doubt`), nor when there was none (an exception).

Nothing else makes an answer old: a dump does not change, finders that others register are
asked by drgn itself, and the first ones first. Knows nothing of names, types or modules.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    import drgn

    from btfdbg.kallsyms import Sym

    FindType = Callable[
        [drgn.Program, Collection[drgn.TypeKind], str, str | None], drgn.Type | None
    ]
    FindObject = Callable[[drgn.Program, str, drgn.FindObjectFlags, str | None], drgn.Object | None]

MAX_ANSWERS = 1 << 15
"""Answers of one kind that are kept; some 200 bytes each, and beyond that all are dropped."""

MAX_NAME = 512
"""Length of a name whose answer is kept (KSYM_NAME_LEN since Linux 6.1)."""

_Key = TypeVar("_Key")
_Answer = TypeVar("_Answer")


class Answers:
    """
    Answers to drgn's questions.

    >>> answers = Answers()
    >>> prog.register_type_finder("mine", answers.of_types(find_type), enable_index=0)
    """

    def __init__(self) -> None:
        self._types: dict[Any, drgn.Type | None] = {}
        self._objects: dict[Any, drgn.Object | None] = {}
        self._symbols: dict[str, tuple[Sym, ...]] = {}
        self._watched: list[Callable[[], bool]] = []
        self._unfinished = 0
        self._version = 0

    def of_types(self, find: FindType) -> FindType:
        """The same type finder, which remembers."""
        known = self._types

        def find_type(
            prog: drgn.Program,
            type_kinds: Collection[drgn.TypeKind],
            name: str,
            filename: str | None,
        ) -> drgn.Type | None:
            key = type_kinds, name, filename
            try:
                return known[key]
            except KeyError:
                version = self._version
            found = find(prog, type_kinds, name, filename)
            self._keep(known, key, name, found, version)
            return found

        return find_type

    def of_objects(self, find: FindObject) -> FindObject:
        """The same object finder, which remembers."""
        known = self._objects

        def find_object(
            prog: drgn.Program, name: str, flags: drgn.FindObjectFlags, filename: str | None
        ) -> drgn.Object | None:
            # A flag's own hash is a Python function, and costs as much as all the rest.
            key = name, flags._value_, filename
            try:
                return known[key]
            except KeyError:
                version = self._version
            found = find(prog, name, flags, filename)
            self._keep(known, key, name, found, version)
            return found

        return find_object

    def symbols(self, name: str, find: Callable[[str], tuple[Sym, ...]]) -> tuple[Sym, ...]:
        """What ``find`` says of a name, asked once."""
        try:
            return self._symbols[name]
        except KeyError:
            version = self._version
        found = find(name)
        self._keep(self._symbols, name, name, found, version)
        return found

    @contextmanager
    def unfinished(self) -> Iterator[None]:
        """While a list is read that answers depend on, and which they need whole."""
        self._unfinished += 1
        try:
            yield
        finally:
            self._unfinished -= 1
            self.forget()

    def watch(self, is_busy: Callable[[], bool]) -> None:
        """As :meth:`unfinished`, for one who says so when asked."""
        self._watched.append(is_busy)

    def doubt(self) -> None:
        """What is being answered now was shaped by a failure, and may differ the next time."""
        self._version += 1

    def forget(self) -> None:
        """Drop all answers: call it after changing what they are made from."""
        self._version += 1
        self._types.clear()
        self._objects.clear()
        self._symbols.clear()

    def _keep(
        self, known: dict[_Key, _Answer], key: _Key, name: str, found: _Answer, version: int
    ) -> None:
        if (
            version != self._version
            or self._unfinished
            or len(name) > MAX_NAME
            or any(is_busy() for is_busy in self._watched)
        ):
            return
        if len(known) >= MAX_ANSWERS:
            known.clear()
        known[key] = found
