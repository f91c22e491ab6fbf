"""The oldest drgn that this works with, said before something else breaks.

Owns the comparison and its one line. pip installs an older drgn without asking where
another package wants one (drgn-tools pins drgn below 0.1.1), and what then fails is an
attribute somewhere.
"""

from __future__ import annotations

import re

from btfdbg.errors import DebugInfoError

OLDEST = (0, 3)


def require(version: str) -> None:
    """
    Refuse a drgn that is too old.

    >>> require("0.3.0")

    :param version: as ``drgn.__version__`` says.
    :raises DebugInfoError: it is too old, and how to have both.
    """
    found = tuple(int(number) for number in re.findall(r"\d+", version)[:2])
    if found and found < OLDEST:
        raise DebugInfoError(
            f"drgn {version} is installed, and btfdbg needs {'.'.join(map(str, OLDEST))} or newer",
            step="open",
            hint="another package (drgn-tools pins drgn below 0.1.1) made pip take it back:"
            " install btfdbg in an environment of its own, e.g. pipx install btfdbg",
        )
