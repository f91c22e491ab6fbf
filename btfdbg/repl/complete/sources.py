"""Where names to complete come from, per Session.

Owns the indexes over types and symbols and how they are built beside the
prompt: on its own thread, in slices of milliseconds while no key is pressed (drgn
allows a Program one thread, and silently gives wrong types to a second one).
Small lists (tasks, slab caches, modules) are read when first asked for, within
a budget of time, and kept: a dump does not change.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from itertools import chain, islice

import drgn

from btfdbg.btf import Kind
from btfdbg.cache import Cache
from btfdbg.commands.candidates import type_names
from btfdbg.commands.text import escape
from btfdbg.errors import BtfdbgError
from btfdbg.kallsyms.all_names import AllNames, KeptText, pieces_of_names
from btfdbg.program.session import Session
from btfdbg.repl.complete.index import NameIndex

_CACHE_KEY = "btfdbg.complete"
_SLICE = 8192
_BUDGET = 0.15  # seconds for a list that is read at a key
_MAX_LIST = 5000
_MAX_MODULE_NAMES = 1 << 24  # bytes of them

KIND_NAMES = {
    Kind.STRUCT: "struct",
    Kind.UNION: "union",
    Kind.ENUM: "enum",
    Kind.ENUM64: "enum",
    Kind.TYPEDEF: "typedef",
    Kind.INT: "int",
    Kind.FLOAT: "float",
}

_NO_ANSWER = (drgn.FaultError, LookupError, ValueError, TypeError, AttributeError, BtfdbgError)


class Sources:
    """Names of one Session."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.types: NameIndex | None = None
        self.symbols: NameIndex | None = None
        self.of_modules: NameIndex | None = None
        self._lists: dict[str, list[tuple[str, str]]] = {}

    def build(self) -> None:
        """Build everything now; for tests and for who can wait."""
        for _ in chain(self.steps(), self.module_steps()):
            pass

    def steps(self) -> Iterator[None]:
        """Build in slices; call ``next()`` on the Program's thread when there is time."""
        if self.types is None and self.session.has_btf:
            named = type_names(self.session.vmlinux)
            types: list[tuple[str, int]] = []
            try:
                while chunk := list(islice(named, _SLICE)):
                    types += chunk
                    yield
            except _NO_ANSWER:
                pass  # as for symbols
            self.types = NameIndex(types)
            types.clear()
        table = self.session.symbols
        if self.symbols is None and table is not None:
            if self.session.names is None:
                kept = KeptText(table, Cache.default())
                yield
                text = kept.load()
                if text is None:
                    pieces = []
                    for piece in pieces_of_names(table):
                        pieces.append(piece)
                        yield
                    text = "".join(pieces)
                    pieces.clear()
                    kept.store(text)
                self.session.names = AllNames(table, text)
            self.symbols = NameIndex.of_text(self.session.names.text)

    def module_steps(self) -> Iterator[None]:
        """Build what comes after: names of the loaded modules' symbols, a module a step."""
        modules = self.session.module_symbols
        if modules is None or self.of_modules is not None:
            return
        names: dict[str, None] = {}
        rest = _MAX_MODULE_NAMES
        try:
            for module in modules.modules():
                table = modules.table_of(module)
                found = None if table is None else table.names(rest)
                for name, _ in found or ():
                    names[name.decode("ascii", "replace")] = None
                    rest -= len(name)
                yield
        except _NO_ANSWER:
            pass  # as for symbols
        self.of_modules = NameIndex.of_text("\n".join(names))

    def _list(
        self, key: str, read: Callable[[], Iterator[tuple[str, str]]]
    ) -> list[tuple[str, str]]:
        found = self._lists.get(key)
        if found is None:
            found = []
            deadline = time.monotonic() + _BUDGET
            try:
                for item in read():
                    found.append(item)
                    if len(found) >= _MAX_LIST or time.monotonic() > deadline:
                        break
            except _NO_ANSWER:
                pass  # what was read so far is worth showing
            self._lists[key] = found
        return found

    def pids(self) -> list[tuple[str, str]]:
        """(pid, comm), ascending."""
        found = self._list("pids", self._pids)
        return sorted(found, key=lambda item: int(item[0]))

    def _pids(self) -> Iterator[tuple[str, str]]:
        from drgn.helpers.linux.pid import for_each_task

        for task in for_each_task(self.session.prog):
            yield str(task.pid.value_()), _text(task.comm.string_())

    def slabs(self) -> list[tuple[str, str]]:
        """(slab cache, size of an object)."""
        return sorted(self._list("slabs", self._slabs))

    def _slabs(self) -> Iterator[tuple[str, str]]:
        from drgn.helpers.linux.slab import for_each_slab_cache

        for cache in for_each_slab_cache(self.session.prog):
            yield _text(cache.name.string_()), f"{cache.object_size.value_()} bytes"

    def modules(self) -> list[tuple[str, str]]:
        """(module, size of its code)."""
        return sorted(self._list("modules", self._modules))

    def _modules(self) -> Iterator[tuple[str, str]]:
        from drgn.helpers.linux.module import for_each_module

        for module in for_each_module(self.session.prog):
            yield _text(module.name.string_()), "module"

    def type_search(
        self, query: str, limit: int, kinds: frozenset[int] | None = None
    ) -> list[tuple[str, str]]:
        """(type, kind of type); empty while the index is built."""
        if self.types is None:
            return []
        return [
            (name, KIND_NAMES.get(Kind(tag), ""))
            for name, tag in self.types.search(query, limit, kinds)
        ]

    def symbol_search(self, query: str, limit: int) -> list[str]:
        """Symbols of the kernel and of its modules, best first; empty while they are read."""
        found = [
            name
            for index in (self.symbols, self.of_modules)
            for name, _ in (index.search(query, limit) if index is not None else ())
        ]
        low = query.lower().lstrip("_")
        # What begins so comes before what has it inside, whichever of the two it is of.
        found.sort(key=lambda name: not name.lower().lstrip("_").startswith(low))
        return list(dict.fromkeys(found))[:limit]


def _text(data: bytes) -> str:
    return escape(data.decode("utf-8", "surrogateescape"))


def sources_of(session: Session) -> Sources:
    """The Sources of a Session; made when first asked for."""
    found = session.prog.cache.get(_CACHE_KEY)
    if not isinstance(found, Sources):
        found = session.prog.cache[_CACHE_KEY] = Sources(session)
    return found
