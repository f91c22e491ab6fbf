"""C source of random structs: bit-fields, padding, packed and aligned ones within each other."""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import count

_TYPES = (
    "char", "short", "int", "long", "unsigned char", "unsigned int", "unsigned long", "void *",
    "enum e", "unsigned short", "long long", "boolean",
)  # fmt: skip
_BITS = {
    "char": 8, "unsigned char": 8, "short": 16, "unsigned int": 32, "int": 32,
    "unsigned long": 64, "boolean": 1, "enum e": 32,
}  # fmt: skip
_DEPTH = 3


def source(seed: int) -> str:
    """Return a C file with some structs and unions, each with a variable of it."""
    rng = random.Random(seed)
    tags: list[str] = []
    lines = ["typedef _Bool boolean;", "enum e { A, B, C = 70000 };"]
    for number in range(rng.randrange(3, 14)):
        union = rng.random() < 0.12
        tag = f"{'union' if union else 'struct'} s{number}"
        body = " ".join(_members(rng, 0, count(), tags, union=union))
        lines += [f"{tag} {{ {body} }}{_attribute(rng)};", f"{tag} v{number};"]
        tags.append(tag)
    return "\n".join(lines) + "\n"


def _attribute(rng: random.Random) -> str:
    if rng.random() < 0.12:
        return " __attribute__((packed))"
    if rng.random() < 0.08:
        return f" __attribute__((aligned({rng.choice((2, 4, 8, 16))})))"
    return ""


def _members(
    rng: random.Random, depth: int, numbers: Iterator[int], tags: list[str], *, union: bool
) -> list[str]:
    out = []
    for _ in range(rng.randrange(1, 7)):
        name = f"m{next(numbers)}"
        array = f"[{rng.randrange(1, 5)}]" if rng.random() < 0.25 else ""
        choice = rng.random()
        if choice < (0.1 if union else 0.35):
            of, bits = rng.choice(list(_BITS.items()))
            named = rng.random() < 0.85
            width = rng.randrange(named, bits + 1)
            out.append(f"{of} {name if named else ''}: {width};")
        elif choice < 0.55 or depth == _DEPTH:
            align = _attribute(rng).replace("packed", "aligned(2)")
            out.append(f"{rng.choice(_TYPES)} {name}{array}{align};")
        elif choice < 0.8 and tags:
            out.append(f"{rng.choice(tags)} {name}{array};")
        else:
            inner_union = rng.random() < 0.4
            inner = " ".join(_members(rng, depth + 1, numbers, tags, union=inner_union))
            keyword = "union" if inner_union else "struct"
            held = "" if rng.random() < 0.6 else name
            out.append(f"{keyword} {{ {inner} }}{_attribute(rng)} {held};")
    return [*out, f"char m{next(numbers)};"]
