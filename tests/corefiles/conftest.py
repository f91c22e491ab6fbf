"""The builder is no installed package: it is found from the top of the repository."""

from __future__ import annotations

import sys
from pathlib import Path

_TOP = str(Path(__file__).parents[2])
if _TOP not in sys.path:
    sys.path.insert(0, _TOP)
