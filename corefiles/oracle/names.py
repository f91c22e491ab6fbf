"""
Names of the types in raw BTF, and how often each occurs.

Facts: include/uapi/linux/btf.h. Nothing but the record lengths is needed.
"""

from __future__ import annotations

import struct
from collections import Counter

# Bytes that follow the 12-byte head, by kind: per record, per element.
_TAILS = {
    1: (4, 0),  # INT
    3: (12, 0),  # ARRAY
    4: (0, 12),  # STRUCT
    5: (0, 12),  # UNION
    6: (0, 8),  # ENUM
    13: (0, 8),  # FUNC_PROTO
    14: (4, 0),  # VAR
    15: (0, 12),  # DATASEC
    17: (4, 0),  # DECL_TAG
    19: (0, 12),  # ENUM64
}
_KEYWORDS = {4: "struct", 5: "union", 6: "enum", 8: "typedef", 19: "enum"}
_FWD, _FWD_KEYWORDS = 7, ("struct", "union")


def count_names(data: bytes, base_strings: bytes = b"") -> tuple[Counter[tuple[str, str]], bytes]:
    """
    Count the (keyword, name) pairs that BTF defines.

    :param base_strings: String section of the BTF that a split BTF stands on.
    :return: The counts, and the string section, its base's included.
    """
    order = "<" if data[:2] == b"\x9f\xeb" else ">"
    header, types, types_size, strings, strings_size = struct.unpack_from(order + "IIIII", data, 4)
    own = data[header + strings : header + strings + strings_size]
    all_strings = base_strings + own
    found: Counter[tuple[str, str]] = Counter()
    at, end = header + types, header + types + types_size
    while at < end:
        name, info, _ = struct.unpack_from(order + "III", data, at)
        kind, count = info >> 24 & 0x1F, info & 0xFFFF
        head, each = _TAILS.get(kind, (0, 0))
        keyword = _KEYWORDS.get(kind)
        # An enum without enumerators is a declaration.
        if keyword and name and not (keyword == "enum" and not count):
            stop = all_strings.index(b"\0", name)
            found[keyword, all_strings[name:stop].decode()] += 1
        at += 12 + head + each * count
    return found, all_strings
