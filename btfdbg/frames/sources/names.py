"""What the name of a function says: its part made by the compiler, and by macros.

Owns the rules that make one key of all symbols that one definition makes. Knows no file.

Facts: GCC's and clang's suffixes of clones (gcc/ipa-*.cc, ``.llvm.`` of ThinLTO); the
names that include/linux/syscalls.h and arch/*/include/asm/syscall_wrapper.h make of
``SYSCALL_DEFINE``, and include/linux/tracepoint.h and include/trace/*.h of
``TRACE_EVENT`` and its kin.
"""

from __future__ import annotations

from btfdbg.lazy_pattern import pattern

_CLONE = pattern(
    r"\.(?:cold|part|constprop|isra|localalias|lto_priv|llvm|cfi_jt|cfi|warn|resolver)"
    r"(?:\.\d+)*(?=\.|$)"
)
_SYSCALL = pattern(
    r"(?:__(?:x64|ia32|x32|arm64|s390x|s390|riscv|powerpc|loongarch|se|do)_)?(compat_)?sys_"
)
# Of an event: these are made where its header makes the code of its tracepoints.
_TRACE = pattern(
    r"(?:__traceiter_|__probestub_|__bpf_trace_|(?:do_)?trace_event_raw_event_|trace_raw_output_"
    r"|(?:do_)?perf_trace_|trace_event_get_offsets_|trace_event_define_fields_)"
)
_FIRST = frozenset("_dtpcs")  # letters with which those begin


def definition(name: str) -> str:
    """
    Return the name as the source has it.

    >>> definition("ext4_truncate.part.0.cold")
    'ext4_truncate'
    """
    return _CLONE.sub("", name) if "." in name else name


def key_of(name: str) -> str:
    """
    Return what the table has a function under: all that one macro makes has one key.

    >>> key_of("__x64_sys_openat"), key_of("perf_trace_sched_switch")
    ('sys:openat', 'trace:sched_switch')
    """
    name = definition(name)
    if name[:1] not in _FIRST:
        return name
    match = _TRACE.match(name)
    if match is not None:
        return f"trace:{name[match.end() :]}"
    match = _SYSCALL.match(name)
    if match is not None:
        return f"{match[1] or ''}sys:{name[match.end() :]}"
    return name


def is_made_by_macro(name: str) -> bool:
    """Whether a function is a tracepoint's: its file is then a header of any folder."""
    return _TRACE.match(definition(name)) is not None
