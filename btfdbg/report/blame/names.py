"""Names of functions as keys: without what differs between two builds of one kernel.

Facts: gcc's and clang's suffixes (``.isra``, ``.constprop``, ``.part``, ``.cold``,
``.llvm``); include/linux/syscalls.h and arch/*/include/asm/syscall_wrapper.h.
"""

from __future__ import annotations

import functools
import re

from btfdbg.report.blame.rust import demangle

# What one system call is called on the way from its entry to its body.
_SYSCALL = re.compile(
    r"(?:__(?:x64|ia32|x32|arm64|arm|s390x|s390|riscv|powerpc|ppc|mips|loongarch)_(?:compat_)?sys_"
    r"|__(?:se|do)_(?:compat_)?sys_"
    r"|(?:compat_)?SyS_|(?:C_)?SYSC_|compat_sys_|ksys_|sys32_|__s390_(?:compat_)?sys_)"
    r"(?=[a-z])"
)

# So general that only together with the module do they name a function.
_GENERAL = re.compile(
    r"init|exit|probe|remove|open|release|read|write|ioctl|mmap|poll|init_module|cleanup_module"
    r"|module_init|module_exit|start|stop|show|store|reset|setup|cleanup|update|handler|callback"
    r"|interrupt|isr|irq_handler|thread_fn|work_fn|timer_fn|main|run"
)


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
    return _GENERAL.fullmatch(name) is not None
