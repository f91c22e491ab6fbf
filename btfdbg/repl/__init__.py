"""The interactive prompt. The only place that knows prompt_toolkit."""

from __future__ import annotations

from btfdbg.repl.prompt import interact

__all__ = ["interact"]
