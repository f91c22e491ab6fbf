"""What the name of a function says: its part made by the compiler, and by macros.

Owns the rules that make one key of all symbols that one definition makes. Knows no file.

Facts: GCC's and clang's suffixes of clones (gcc/ipa-*.cc, ``.llvm.`` of ThinLTO); the
names that include/linux/syscalls.h and arch/*/include/asm/syscall_wrapper.h make of
``SYSCALL_DEFINE``, and include/linux/tracepoint.h and include/trace/*.h of
``TRACE_EVENT`` and its kin.
"""

from __future__ import annotations

_CLONE = frozenset(
    ("cold", "part", "constprop", "isra", "localalias", "lto_priv", "llvm", "cfi_jt", "cfi",
     "warn", "resolver")
)  # fmt: skip
_SYSCALL = tuple(
    f"__{made}_"
    for made in ("x64", "ia32", "x32", "arm64", "s390x", "s390", "riscv", "powerpc",
                 "loongarch", "se", "do")
)  # fmt: skip
# Of an event: these are made where its header makes the code of its tracepoints.
_TRACE = (
    "__traceiter_", "__probestub_", "__bpf_trace_", "trace_event_raw_event_",
    "do_trace_event_raw_event_", "trace_raw_output_", "perf_trace_", "do_perf_trace_",
    "trace_event_get_offsets_", "trace_event_define_fields_",
)  # fmt: skip
_FIRST = frozenset("_dtpcs")  # letters with which those begin
# As text and not as patterns: to compile those takes longer than a hundred names.


def definition(name: str) -> str:
    """
    Return the name as the source has it.

    >>> definition("ext4_truncate.part.0.cold")
    'ext4_truncate'
    """
    if "." not in name:
        return name
    first, *parts = name.split(".")
    kept = [first]
    is_clone = False
    for part in parts:
        is_clone = part in _CLONE or (is_clone and part.isdecimal())
        if not is_clone:
            kept.append(part)
    return ".".join(kept)


def key_of(name: str) -> str:
    """
    Return what the table has a function under: all that one macro makes has one key.

    >>> key_of("__x64_sys_openat"), key_of("perf_trace_sched_switch")
    ('sys:openat', 'trace:sched_switch')
    """
    name = definition(name)
    if name[:1] not in _FIRST:
        return name
    if name.startswith(_TRACE):
        return f"trace:{_behind(name, _TRACE)}"
    call = _behind(name, _SYSCALL)
    for kind in ("sys_", "compat_sys_"):
        if call.startswith(kind):
            return f"{kind[:-1]}:{call[len(kind) :]}"
    return name


def _behind(name: str, beginnings: tuple[str, ...]) -> str:
    """What follows the first of some beginnings that a name has; the name if it has none."""
    if not name.startswith(beginnings):
        return name
    return name[len(next(b for b in beginnings if name.startswith(b))) :]


def is_made_by_macro(name: str) -> bool:
    """Whether a function is a tracepoint's: its file is then a header of any folder."""
    return definition(name).startswith(_TRACE)
