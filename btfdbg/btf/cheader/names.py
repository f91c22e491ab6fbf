"""Names of a C dump: C has two name spaces where BTF has none.

Owns which name a type has in C. Tags share one name space, typedefs and enumerators the
other; the second of a name becomes ``name___2``, in the order in which they are asked
for. Most tags are the only one of their name, and their order does not matter: these
are named all at once, because one by one they would take a tenth of a dump.
Facts: libbpf's btf_dump.c, btf_dump_resolve_name.
"""

from __future__ import annotations

from itertools import compress

from btfdbg.btf.cheader.columns import IS_FWD
from btfdbg.btf.layouts import ENUM, ENUM64, FWD, STRUCT, UNION

TYPE_CHECKING = False
if TYPE_CHECKING:
    from btfdbg.btf.cheader.c_layout import Types

_ENUMS = frozenset({ENUM, ENUM64})


class CNames:
    """The names of one dump's types."""

    def __init__(self, types: Types) -> None:
        self.types = types
        self.names = types.names
        self._tags: dict[int, str] = {}
        #: The same of each STRUCT and UNION, keyword included.
        self._texts: dict[int, str] = {}
        self._idents: dict[int, str] = {}
        self._tag_counts: dict[str, int] = {}
        self._ident_counts: dict[str, int] = {}
        #: Name of each FWD to the kinds of tags that have it, and the first of each; 0 if
        #: it is declared only.
        self._others: dict[str, dict[int, int]] | None = None
        self._name_all()

    def _name_all(self) -> None:
        """Name the tags that are the only one of their name."""
        types = self.types
        words, start = types.words, types.start
        ids = list(compress(types.composites, map(types.tagged.__getitem__, types.composites)))
        for type_id in types.enums:
            at = start[type_id]
            if words[at] and words[at + 1] & 0xFFFFFF:
                ids.append(type_id)
        names = self.names.cut([words[start[type_id]] for type_id in ids])
        only = dict(zip(names, ids, strict=True))
        if len(only) < len(names):
            seen: set[str] = set()
            for name in names:
                if name in seen:
                    only.pop(name, None)
                seen.add(name)
        only.pop("", None)  # of an offset at which there is an empty string
        self._tags = {type_id: name for name, type_id in only.items()}
        kind, tagged = types.kind, types.tagged
        self._texts = {
            type_id: f"struct {name}" if kind[type_id] == STRUCT else f"union {name}"
            for name, type_id in only.items()
            if tagged[type_id]
        }

    def _numbered(self, counts: dict[str, int], name: str) -> str:
        """Return a name made unique in its name space."""
        count = counts[name] = counts.get(name, 0) + 1
        return name if count == 1 else f"{name}___{count}"

    def tag_name(self, type_id: int) -> str:
        name = self._tags.get(type_id)
        if name is None:
            types = self.types
            at = types.start[type_id]
            name = self.names[types.words[at]]
            kind = types.kind[type_id]
            # A declaration shares the name of what it declares.
            if name and kind == FWD:
                name = self._declared(type_id, name)
            elif name and not (kind in _ENUMS and not types.words[at + 1] & 0xFFFFFF):
                name = self._numbered(self._tag_counts, name)
            self._tags[type_id] = name
        return name

    def _declared(self, type_id: int, name: str) -> str:
        """Return the name of a FWD: another one if what has it is no struct, or no union."""
        if self._others is None:
            types = self.types
            kind, words, start = types.kind, types.words, types.start
            forwards = types.columns.ids_of(IS_FWD)
            wanted = {self.names[words[start[at]]] for at in forwards}
            others: dict[str, dict[int, int]] = {}
            tags = [at for at in types.composites if types.tagged[at]] + types.enums
            for at, tag in zip(
                tags, self.names.cut([words[start[at]] for at in tags]), strict=True
            ):
                if tag in wanted:
                    others.setdefault(tag, {}).setdefault(kind[at], at)
            for at in forwards:
                tag = self.names[words[start[at]]]
                others.setdefault(tag, {}).setdefault(self._declares(at), 0)
            self._others = others  # once it is whole: a name may be none
        own = self._declares(type_id)
        found = self._others[name]
        if found[own]:
            return self.tag_name(found[own])
        # Of a struct, a union and an enum that are declared only, the struct has the name.
        if len(found) == 1 or (own == STRUCT and not any(found.values())):
            return name
        return f"{name}___{'struct' if own == STRUCT else 'union'}"

    def _declares(self, type_id: int) -> int:
        """Return the kind that a FWD declares."""
        return UNION if self.types.words[self.types.start[type_id] + 1] > 0x7FFFFFFF else STRUCT

    def ident_name(self, type_id: int) -> str:
        name = self._idents.get(type_id)
        if name is None:
            name = self.names[self.types.words[self.types.start[type_id]]]
            name = self._idents[type_id] = self._numbered(self._ident_counts, name)
        return name

    def tag(self, type_id: int) -> str:
        """Return ``struct foo`` or ``union foo``."""
        text = self._texts.get(type_id)
        if text is None:
            keyword = "struct" if self.types.kind[type_id] == STRUCT else "union"
            name = self.tag_name(type_id)
            text = self._texts[type_id] = f"{keyword} {name}" if name else keyword
        return text

    def forward(self, type_id: int) -> str:
        """Return what a FWD declares."""
        keyword = "union" if self._declares(type_id) == UNION else "struct"
        return f"{keyword} {self.tag_name(type_id)}"
