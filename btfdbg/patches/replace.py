"""Put functions of ours in the places of drgn's, wherever drgn holds them.

Owns the going round: drgn's modules import each other's functions by name, so that each
keeps references of its own. Which functions are replaced, and by what, is the callers'.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import Any


def replace_in_drgn(replacements: Mapping[Callable[..., Any], Callable[..., Any]]) -> None:
    """
    Replace functions in every module of drgn's that has been imported, in one round.

    :param replacements: drgn's function to the one in its place.
    """
    # By identity: not everything that a module holds can be hashed.
    by_id = {id(original): replacement for original, replacement in replacements.items()}
    for user in tuple(sys.modules.values()):
        if user.__name__.partition(".")[0] == "drgn":
            for name, value in list(vars(user).items()):
                replacement = by_id.get(id(value))
                if replacement is not None:
                    setattr(user, name, replacement)
