"""A small dump out of a large one: only the pages that a session reads.

Why by recording: what a debugger reads of a dump is decided by drgn, its
helpers, this kernel's data structures and the user's commands. No list of
pages written by hand would be right for long; doing the session once and
remembering what was read is.

Why kdump-compressed: drgn, crash and everything on libkdumpfile open it, each
page is compressed by itself, and pages that are left out read as errors, not as
zeros.

In reading order: ``trim`` (the steps), ``recorder`` (what is read), ``needs``, ``others`` and
``walks`` (what any session needs; ``touching`` and ``stacks`` have what they share),
``purposes`` (what ``--for`` adds), ``privacy`` (whose pages are left out), ``notes`` and
``kdump_writer`` (the new file).
"""

from __future__ import annotations

from btfdbg.trim.trim import Result, record, trim

__all__ = ["Result", "record", "trim"]
