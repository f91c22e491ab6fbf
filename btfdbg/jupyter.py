"""``%load_ext btfdbg.jupyter``: the short name of ``btfdbg.repl.jupyter``."""

from __future__ import annotations

from btfdbg.repl.jupyter import load_ipython_extension

__all__ = ["load_ipython_extension"]
