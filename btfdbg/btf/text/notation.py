"""The words of the raw notation that writing and reading share.

Owns how names stand between quotes and what encodings and linkages are called, each in
both directions. Knows nothing of types.
Facts: bpftool's ``btf dump file F format raw``, which has no escapes of its own.
"""

from __future__ import annotations

import re
from typing import Final

_SPECIAL: Final = re.compile(r"[\x00-\x1f\x7f\\]|^\(anon\)$")
_ESCAPE: Final = re.compile(r"\\(\\|x([0-9a-f]{2}))")
#: Bytes of a string section that need an escape somewhere, NUL left out; a regular
#: expression takes longer over a section than all else.
SPECIAL_BYTES: Final = bytes([*range(1, 32), 127, ord("\\")])

ENCODINGS: Final = {0: "(none)", 1: "SIGNED", 2: "CHAR", 4: "BOOL"}
ENCODING_OF: Final = {text: number for number, text in ENCODINGS.items()}
LINKAGES: Final = ("static", "global", "extern")


def escape(name: str) -> str:
    """Return a name as it stands between the quotes."""
    if _SPECIAL.search(name) is None:
        return name
    if name == "(anon)":
        return "\\x28anon)"
    return _SPECIAL.sub(lambda m: "\\\\" if m[0] == "\\" else f"\\x{ord(m[0]):02x}", name)


def unescape(text: str) -> str:
    """Return the name that stands between quotes; the reverse of :func:`escape`."""
    if "\\" not in text:
        return text
    return _ESCAPE.sub(lambda m: "\\" if m[1] == "\\" else chr(int(m[2], 16)), text)
