"""Which dumps' names are asked for, and whether all of them."""

from __future__ import annotations

import os
from pathlib import Path

from tests.conftest import bundled_dumps

_WANTED = os.environ.get("BTFDBG_EVERY_NAME", "")

IS_EVERY_NAME = bool(_WANTED)
DUMPS = (
    [path for path, _ in bundled_dumps()]
    if _WANTED in ("", "1")
    else [Path(path) for path in _WANTED.split(":")]
)
