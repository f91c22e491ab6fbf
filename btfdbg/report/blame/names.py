"""Names of functions as keys: without what differs between two builds of one kernel.

Facts: gcc's and clang's suffixes (``.isra``, ``.constprop``, ``.part``, ``.cold``,
``.llvm``); include/linux/syscalls.h and arch/*/include/asm/syscall_wrapper.h.
"""

from __future__ import annotations

import functools

from btfdbg.lazy_pattern import pattern
from btfdbg.report.blame.rust import demangle

# What one system call is called on the way from its entry to its body.
_SYSCALL = pattern(
    r"(?:__(?:x64|ia32|x32|arm64|arm|s390x|s390|riscv|powerpc|ppc|mips|loongarch)_(?:compat_)?sys_"
    r"|__(?:se|do)_(?:compat_)?sys_"
    r"|(?:compat_)?SyS_|(?:C_)?SYSC_|compat_sys_|ksys_|sys32_|__s390_(?:compat_)?sys_)"
    r"(?=[a-z])"
)

# So general that only together with the module do they name a function.
_GENERAL = frozenset(
    (
        "callback", "cleanup", "cleanup_module", "exit", "handler", "init", "init_module",
        "interrupt", "ioctl", "irq_handler", "isr", "main", "mmap", "module_exit", "module_init",
        "open", "poll", "probe", "read", "release", "remove", "reset", "run", "setup", "show",
        "start", "stop", "store", "thread_fn", "timer_fn", "update", "work_fn", "write",
    )
)  # fmt: skip


@functools.lru_cache(maxsize=1 << 14)
def base_name(name: str) -> str:
    """
    Return a function's name without what the compiler or linker added.

    >>> base_name("foo.isra.0.cold")
    'foo'
    """
    # A dot in front is a function's entry in the ABI v1 of powerpc.
    return name.removeprefix(".").partition(".")[0].partition("$")[0] or name


@functools.lru_cache(maxsize=1 << 14)
def canonical(name: str) -> str:
    """
    Return the name under which a function is blamed, equal over architectures.

    All names of one system call become ``sys_NAME``.

    >>> canonical("__arm64_sys_rmdir.cold")
    'sys_rmdir'
    """
    name = base_name(name)
    if name.startswith("_R"):
        return demangle(name)
    match = _SYSCALL.match(name)
    return f"sys_{name[match.end() :]}" if match else name


def rule_name(name: str) -> str:
    """Return the name that rules are matched with: without leading underscores too."""
    name = base_name(name)
    if name.startswith("_R"):  # mangled by rustc
        return name
    return name.lstrip("_").removeprefix("pi_").lstrip("_") or name  # __pi_memcpy of arm64


def is_general(name: str) -> bool:
    """Say whether a name means nothing without its module."""
    return name in _GENERAL
