"""Source files of functions, and lines where a dump gives them.

In reading order: ``model`` (values), ``strings`` and ``bugtable`` and ``records`` (what the
dump's own tables say), ``regions`` (functions and their neighbours), ``names`` (what a
symbol's name says), ``retrieval`` and ``table`` (the shipped table), ``kernels`` (which of
its kernels count), ``lookup`` (the verdict). Made from DWARF with ``text`` and ``pack``,
which nothing here needs at run time. ``contents`` lists a file's functions, ``browse`` shows text
of a given kernel tree.

Why a table beside the dump's own evidence: a dump names the files of two functions in five
with certainty; with a table of names, which are in the same file from release to
release, nearly all.
"""

from __future__ import annotations

from btfdbg.frames.sources.find import source_file, source_files
from btfdbg.frames.sources.model import SourceFile

__all__ = ["SourceFile", "source_file", "source_files"]
