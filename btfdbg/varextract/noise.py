"""Variables that nobody looks at, by how their names begin.

Owns the list, for those who leave them out: the reader of DWARF behind :mod:`.encode`, which uses
it too, takes 60 ms to import.
"""

from __future__ import annotations

NOISE_NAMES = (
    "TRACE_SYSTEM",
    "__SCK__",
    "__TRACE_SYSTEM",
    "___tp_str.",
    "__UNIQUE_ID",
    "__already_done.",
    "__bpf_trace_tp_map_",
    "__event_",
    "__exitcall_",
    "__func__.",
    "__initcall_",
    "__msg.",
    "__p_syscall_meta__",
    "__param_str_",
    "__setup_",
    "__syscall_meta__",
    "__tpstrtab_",
    "_note_",
    "args__",
    "event_enter__",
    "event_exit__",
    "print_fmt_",
    "security_hook_active_",
    "str__",
    "types__",
)
"""What macros make by the thousand and nobody looks at in a debugger begins with one of these."""
