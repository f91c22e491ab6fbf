"""All names of a table as one text, for those who search them: some megabytes, in 0.1 s.

A ``SymbolTable`` gives its names one by one, which for a kernel's 150,000 is half a second
and an object each. Owns the text, what it finds, and the way from a line of it back to the
symbol. Names stand in the order of the table, each with a newline before and after it.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from btfdbg.kallsyms.model import Sym, SymbolTable
from btfdbg.kallsyms.tables import KallsymsTable

_AT_ONCE = 4096


class AllNames:
    """
    All names of a table.

    >>> [sym.name for sym in AllNames.of(session.symbols).containing("vfs_readl")]
    ['__pfx_vfs_readlink', 'vfs_readlink', '__ksymtab_vfs_readlink']

    :param text: What :func:`pieces_of_names` gives, joined.
    :ivar text: A newline, then each name with a newline after it; a name may occur more
        than once. Bytes that are no ASCII are escaped.
    """

    def __init__(self, table: SymbolTable, text: str) -> None:
        self._table = table
        self.text = text

    @classmethod
    def of(cls, table: SymbolTable) -> AllNames:
        """Expand all names at once."""
        return cls(table, "".join(pieces_of_names(table)))

    def containing(self, part: str) -> Iterator[Sym]:
        """Symbols with a text in their names, in the order of the table."""
        table, text = self._table, self.text
        if not part or not isinstance(table, KallsymsTable) or text.count("\n") != table.count + 1:
            # All of them, or without numbers, or some are lost with their block.
            yield from (sym for sym in table if part in sym.name)
            return
        if not part.isascii() or "\n" in part:
            return
        number, counted = 0, 1
        at = text.find(part)
        while at >= 0:
            start = text.rfind("\n", 0, at) + 1
            number += text.count("\n", counted, start)
            counted = start
            sym = table.numbered(number)
            if sym is not None:
                yield sym
            at = text.find(part, text.index("\n", at))


def pieces_of_names(table: SymbolTable) -> Iterator[str]:
    """The text of :class:`AllNames`, in pieces that take some milliseconds each."""
    yield "\n"
    if isinstance(table, KallsymsTable):
        yield from table.text_of_names()
        return
    names = table.names()
    while piece := list(islice(names, _AT_ONCE)):
        yield "\n".join(piece) + "\n"
