"""What is done to a dump: one mutant from one random number generator.

Owns the kinds of damage and how often each is chosen. What happens in practice
(pages lost, zeroed, swapped, torn; a file cut short) and what an attacker would
do (pointers that run in circles, sizes that do not fit, escape sequences in
names). Every edit says which page frames it touches, or that it may be any.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable

from tests.fuzz.dumpfile import INTERESTING, DumpFile, Edit, Patch
from tests.fuzz.reads import Field, Reads

_TEXT = re.compile(rb"[\x20-\x7e]{3,}")
_INJECTIONS = (
    b"\x1b[2J\x1b[H",
    b"\x1b]0;owned\x07",
    b"\x9b31m",
    b"\r\x08\x08",
    b"\n\n",
    b"\xff\xfe\xfd",
    b"\xc2\x9b2J",
    b"\xe2\x80\xae",
    b"../../etc/passwd",
    b"%s%n{0}$(id)`id`",
    b"\0",
)


class _Draft:
    """An edit that is being made."""

    def __init__(self, dump: DumpFile) -> None:
        self.dump = dump
        self.pages: dict[int, bytearray] = {}
        self.patches: list[Patch] = []
        self.frames: set[int] | None = set()
        self.size: int | None = None
        self.what: list[str] = []

    def page(self, pfn: int) -> bytearray:
        """A page to write to."""
        if self.frames is not None:
            self.frames.add(pfn)
        return self.pages.setdefault(pfn, bytearray(self.dump.page(pfn)))

    def anything(self) -> None:
        """The edit may change what any page reads as."""
        self.frames = None

    def edit(self) -> Edit:
        # What is done to headers and descriptors comes last, so that it stays.
        pages = {pfn: bytes(data) for pfn, data in self.pages.items()}
        patches = (*self.dump.put(pages), *self.patches)
        frames = None if self.frames is None else frozenset(self.frames)
        return Edit("; ".join(self.what), patches, self.size, frames)


class Mutator:
    """Makes edits for one dump, out of what its commands read."""

    def __init__(self, dump: DumpFile, reads: Reads) -> None:
        self._dump = dump
        self._held = frozenset(dump.frames)
        self._page = dump.page_size
        self._order = dump.byteorder
        self._pointers = reads.pointers
        self._phases = [p for p, f in reads.frames.items() if f & self._held]
        self._frames = {p: sorted(reads.frames[p] & self._held) for p in self._phases}
        self._fields = {
            p: [
                f
                for f in fields
                if f[0] // self._page in self._held and f[0] % self._page + f[1] <= self._page
            ]
            for p, fields in reads.fields.items()
        }
        self._links = {
            p: {a: (value, target) for a, value, target in links if a // self._page in self._held}
            for p, links in reads.links.items()
        }
        self._early = reads.frames["open"]
        self._places = {
            name: parts
            for name, spans in reads.places.items()
            if (parts := tuple(s for s in spans if s[0] // self._page in self._held))
        }
        kinds: list[tuple[int, Callable[[random.Random, _Draft], str]]] = [
            (10, self._flip_bits),
            (8, self._zero),
            (4, self._fill),
            (6, self._swap),
            (5, self._duplicate),
            (4, self._tear),
            (22, self._set_field),
            (14, self._point_elsewhere),
            (14, self._make_circle),
            (5, self._inject),
            (9, self._damage_table),
            (7, self._damage_file),
            (2, self._cut),
            (4, self._drop),
        ]
        self._kinds = [k for _, k in kinds]
        self._weights = [w for w, _ in kinds]

    def edit(self, rng: random.Random, *, late: bool = False) -> Edit:
        """
        One mutant; the same for the same state of the generator.

        :param late: Leave alone what opening the dump reads.
        """
        for _ in range(50):
            edit = self._edit(rng)
            if not late or (edit.frames and not edit.frames & self._early):
                break
        return edit

    def _edit(self, rng: random.Random) -> Edit:
        draft = _Draft(self._dump)
        for _ in range(rng.choice((1, 1, 1, 1, 2, 3, 8))):
            kind = rng.choices(self._kinds, self._weights)[0]
            draft.what.append(kind(rng, draft))
        return draft.edit()

    def _pfn(self, rng: random.Random) -> int:
        if rng.random() < 0.15:
            return rng.choice(self._dump.frames)
        return rng.choice(self._frames[rng.choice(self._phases)])

    def _field(self, rng: random.Random) -> tuple[str, Field]:
        phase = rng.choice([p for p, fields in self._fields.items() if fields])
        return phase, rng.choice(self._fields[phase])

    # Pages

    def _flip_bits(self, rng: random.Random, draft: _Draft) -> str:
        pfn = self._pfn(rng)
        page = draft.page(pfn)
        count = rng.choice((1, 1, 2, 4, 16, 256))
        for _ in range(count):
            page[rng.randrange(self._page)] ^= 1 << rng.randrange(8)
        return f"flip {count} bits of page {pfn:#x}"

    def _zero(self, rng: random.Random, draft: _Draft) -> str:
        pfn = self._pfn(rng)
        draft.page(pfn)[:] = bytes(self._page)
        return f"zero page {pfn:#x}"

    def _fill(self, rng: random.Random, draft: _Draft) -> str:
        pfn = self._pfn(rng)
        fill = rng.choice(("ff", "6b", "random", "pointers"))
        if fill == "random":
            data = rng.randbytes(self._page)
        elif fill == "pointers":
            _, (address, _) = self._field(rng)
            data = self._word(draft, address) * (self._page // 8)
        else:
            data = bytes.fromhex(fill) * self._page
        draft.page(pfn)[:] = data
        return f"fill page {pfn:#x} with {fill}"

    def _swap(self, rng: random.Random, draft: _Draft) -> str:
        one, other = self._pfn(rng), self._pfn(rng)
        a, b = draft.page(one), draft.page(other)
        if one != other:
            a[:], b[:] = bytes(b), bytes(a)
        return f"swap pages {one:#x} and {other:#x}"

    def _duplicate(self, rng: random.Random, draft: _Draft) -> str:
        source, target = self._pfn(rng), self._pfn(rng)
        draft.page(target)[:] = draft.pages.get(source, self._dump.page(source))
        return f"copy page {source:#x} over {target:#x}"

    def _tear(self, rng: random.Random, draft: _Draft) -> str:
        pfn = self._pfn(rng)
        start = rng.randrange(0, self._page, 64)
        size = rng.randrange(1, self._page - start + 1)
        shift = rng.choice((-8, -1, 1, 8, 64))
        page = draft.page(pfn)
        moved = bytes(page[start : start + size])
        at = min(max(start + shift, 0), self._page - size)
        page[at : at + size] = moved
        return f"move {size} bytes at {start:#x} of page {pfn:#x} by {shift}"

    def _inject(self, rng: random.Random, draft: _Draft) -> str:
        for _ in range(20):
            pfn = self._pfn(rng)
            texts = list(_TEXT.finditer(self._dump.page(pfn)))
            if texts:
                break
        else:
            return "nothing"
        text = rng.choice(texts)
        what = rng.choice(_INJECTIONS)
        page = draft.page(pfn)
        at = rng.randrange(text.start(), text.end())
        piece = what[: self._page - at]
        page[at : at + len(piece)] = piece
        return f"put {what!r} at {at:#x} of page {pfn:#x}"

    # Fields

    def _word(self, draft: _Draft, address: int) -> bytes:
        pfn, at = divmod(address, self._page)
        page = draft.pages.get(pfn) or self._dump.page(pfn)
        return bytes(page[at : at + 8]).ljust(8, b"\0")

    def _set_field(self, rng: random.Random, draft: _Draft) -> str:
        phase, (address, size) = self._field(rng)
        if size > 8:
            address += rng.randrange(0, size - 7, 4)
            size = 8
        size = min(size, self._page - address % self._page)
        old = int.from_bytes(self._word(draft, address)[:size], self._order)
        change = rng.randrange(4)
        if change == 0:
            new = rng.choice(INTERESTING)
        elif change == 1:
            new = old + rng.choice((-4096, -64, -8, -1, 1, 2, 8, 64, 4096, 1 << 32))
        elif change == 2:
            new = old ^ 1 << rng.randrange(8 * size)
        else:
            new = rng.getrandbits(8 * size)
        new &= (1 << 8 * size) - 1
        at = address % self._page
        draft.page(address // self._page)[at : at + size] = new.to_bytes(size, self._order)
        return f"{phase}: {size} bytes at physical {address:#x}: {old:#x} becomes {new:#x}"

    def _point_elsewhere(self, rng: random.Random, draft: _Draft) -> str:
        """A pointer gets the value of another one: circles, and things of another type."""
        phase, (target, _) = self._field(rng)
        fields = self._fields[phase]
        near = rng.random() < 0.5
        for _ in range(40):
            i = rng.randrange(len(fields))
            j = min(max(i + rng.randrange(-30, 31), 0), len(fields) - 1)
            source = fields[j][0]
            target = fields[i][0] if near else rng.choice(fields)[0]
            if (
                target % self._page > self._page - 8
                or source % self._page > self._page - 8
                or source == target
            ):
                continue
            old, new = (int.from_bytes(self._word(draft, a), self._order) for a in (target, source))
            if min(old, new) >= self._pointers and old != new:
                at = target % self._page
                draft.page(target // self._page)[at : at + 8] = new.to_bytes(8, self._order)
                return f"{phase}: pointer at physical {target:#x}: {old:#x} becomes {new:#x}"
        return "nothing"

    def _make_circle(self, rng: random.Random, draft: _Draft) -> str:
        """A chain of pointers leads back to where it came by."""
        phase = rng.choice([p for p, links in self._links.items() if links])
        links = self._links[phase]
        for _ in range(20):
            first = at = rng.choice(sorted(links))
            for _ in range(rng.choice((0, 1, 1, 2, 3, 8))):
                target = links[at][1]
                if target not in links:
                    break
                at = target
            at = links[first][1] if at == first else at
            if at // self._page not in self._held or at % self._page > self._page - 8:
                continue
            value = links[first][0]
            old = int.from_bytes(self._word(draft, at), self._order)
            # The head of an empty list leads to itself already.
            if old != value:
                draft.page(at // self._page)[at % self._page : at % self._page + 8] = (
                    value.to_bytes(8, self._order)
                )
                return f"{phase}: circle: physical {at:#x}: {old:#x} becomes {value:#x}"
        return "nothing"

    def _damage_table(self, rng: random.Random, draft: _Draft) -> str:
        name = rng.choice(sorted(self._places))
        parts = self._places[name]
        part = parts[0] if rng.random() < 0.3 else rng.choice(parts)
        # The beginning of the first part is the table's header, where it has one.
        within = rng.randrange(min(part[1], 32)) if part is parts[0] else rng.randrange(part[1])
        pfn, at = divmod(part[0] + within, self._page)
        page = draft.page(pfn)
        size = min(rng.choice((1, 1, 2, 4, 8, 16)), self._page - at)
        how = rng.randrange(3)
        if how == 0:
            page[at] ^= 1 << rng.randrange(8)
        elif how == 1:
            page[at : at + size] = rng.randbytes(size)
        else:
            page[at : at + size] = rng.choice((b"\0", b"\xff", b"\x80")) * size
        return f"{name}: {size} bytes at physical {part[0] + within:#x}"

    # The file

    def _damage_file(self, rng: random.Random, draft: _Draft) -> str:
        region = rng.choice(self._dump.regions)
        draft.anything()
        count = rng.choice((1, 1, 1, 2, 4))
        for _ in range(count):
            size = rng.choice((1, 2, 4, 8))
            at = region.offset + rng.randrange(max(region.size - size, 1))
            if rng.random() < 0.5:
                at -= (at - region.offset) % size
            value = rng.choice((rng.choice(INTERESTING), rng.getrandbits(64), rng.randrange(4096)))
            draft.patches.append((at, value.to_bytes(8, self._order)[:size]))
        return f"{region.name}: {count} fields"

    def _cut(self, rng: random.Random, draft: _Draft) -> str:
        draft.anything()
        size = self._dump.size
        if rng.random() < 0.3:
            region = rng.choice(self._dump.regions)
            size = region.offset + region.size
        draft.size = rng.randrange(size)
        return f"cut to {draft.size} bytes"

    def _drop(self, rng: random.Random, draft: _Draft) -> str:
        pfn = self._pfn(rng)
        patches, frames = self._dump.lose(pfn, rng)
        draft.patches += patches
        if frames is None:
            draft.anything()
        elif draft.frames is not None:
            draft.frames |= frames
        return f"lose page {pfn:#x}"
