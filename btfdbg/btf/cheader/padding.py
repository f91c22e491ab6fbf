"""What fills the gaps between a struct's members: unnamed bit-fields, as libbpf makes them.

Owns how many of which widths. On arm64 they align what they are in, as members do: those of
no width always, others unless the struct is packed (AAPCS64, "Bit-fields subdivision");
``holders`` says where that must not be.
"""

from __future__ import annotations


def unnamed_bit_fields(
    at: int,
    end: int,
    align: int,
    largest: int,
    pointer_size: int,
    *,
    packed: bool,
    between: bool,
) -> list[tuple[str, int, int]]:
    """
    Return the types, widths and numbers of the bit-fields from one member to the next.

    >>> unnamed_bit_fields(8, 160, 4, 4, 8, packed=False, between=False)
    [('int', 32, 4)]

    :param at: Bit after the last member; ``end``: that of the next.
    :param align: Bytes to which a compiler would align the next by itself.
    :param largest: Bytes of the largest unit; ``pointer_size``: those of a ``long``.
    :param between: Both neighbours are bit-fields.
    """
    units = (("long", 8 * pointer_size), ("int", 32), ("short", 16), ("char", 8))
    name, width = units[-1]
    start = at
    for name, width in units:  # noqa: B007 # used after the loop
        if width > 8 * largest:
            continue
        start = -(-at // width) * width
        if start <= end:
            break
    out: list[tuple[str, int, int]] = []
    if at < start <= end:
        # A compiler closes this gap by itself, unless it would stop earlier or
        # put the padding that follows into the gap.
        natural = -(-at // (8 * align)) * (8 * align)
        fits_before = start != end and end - start <= start - at
        # In a packed struct it closes none but those within a byte.
        closes = natural == start or (start != end and not packed)
        if between or not closes or fits_before:
            out.append((name, start - at if between or packed else 0, 1))
        at = start
    full, rest = divmod(end - at, width)
    if full:
        out.append((name, width, full))
    if rest:
        name = next(n for n, w in reversed(units) if w >= rest)
        out.append((name, rest, 1))
    return out
