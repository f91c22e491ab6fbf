"""Whether the bytes between two variables are more than the second one's alignment asks for.

An address may be aligned by chance: a ``u32`` in front of a ``bool`` that happens to stand
at a multiple of 8 leaves no room for padding, whatever the address says. So a number that
leaves room for another one of its size in front of a neighbour that would have followed
directly is probably larger than it is thought to be.

Owns that judgement. Object files are linked one behind the other at multiples of their
own alignment, mostly 32; there it says nothing.
"""

from __future__ import annotations

from collections.abc import Callable

from btfdbg.btf import Btf, Kind
from btfdbg.cdecl import CDeclError, Named, Pointer, parse_type
from btfdbg.vardb.database import Candidate, Database
from btfdbg.vardb.textdb import AnnotatedType
from btfdbg.variables.policy import POLICY
from btfdbg.variables.structural_index import StructuralIndex
from btfdbg.variables.symbols import Symbol

_NUMBERS = (Kind.INT, Kind.ENUM, Kind.ENUM64, Kind.PTR)


class Padding:
    """
    Alignments of the variables that follow others.

    :param symbol_at: the symbol that covers an address.
    :param distance: how far away the nearest kernel is that a candidate is of.
    """

    def __init__(
        self,
        database: Database,
        btf: Btf,
        shapes: StructuralIndex,
        symbol_at: Callable[[int], Symbol | None],
        distance: Callable[[Candidate], tuple[int, ...]],
    ) -> None:
        self._distance = distance
        self._database = database
        self._btf = btf
        self._shapes = shapes
        self._symbol_at = symbol_at

    def may_have_more(self, symbol: Symbol) -> bool:
        """Whether :meth:`has_more` can be true of any number: quick to ask."""
        return symbol.size > 1 and (symbol.address + symbol.size) % POLICY.object_file != 0

    def has_more(self, symbol: Symbol, size: int) -> bool:
        """Whether a number of ``size`` bytes leaves room that nothing asked for."""
        end = symbol.address + symbol.size
        if symbol.size < 2 * size or size >= POLICY.word or end % POLICY.object_file == 0:
            return False
        following = self._symbol_at(end)
        if following is None or following.address != end:
            return False
        alignment = self._alignment(following.name)
        return (
            alignment is not None and -(-(end - symbol.size + size) // alignment) * alignment < end
        )

    def _alignment(self, name: str) -> int | None:
        """
        Alignment of a number, as far as all kernels agree that it is one; else None.

        Of several the nearest kernel's counts: if that is what the symbol in front is held
        against, its neighbours are to be of the same kernel.
        """
        found = None
        candidates = self._database.candidates(name)
        nearest = min((self._distance(c) for c in candidates), default=None)
        for candidate in candidates:
            try:
                tree = parse_type(AnnotatedType.parse(candidate.type).type)
            except CDeclError:
                return None
            if not isinstance(tree, (Named, Pointer)):
                return None
            for id_ in self._shapes.ids(tree):
                bare = self._btf.skip_mods_and_typedefs(id_)
                if self._btf.kind_of(bare) not in _NUMBERS:
                    return None
                if self._distance(candidate) == nearest:
                    found = max(found or 1, self._btf.resolve_size(bare))
        return found
