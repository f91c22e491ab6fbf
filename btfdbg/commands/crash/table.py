"""Every option of crash(8) that is added to a command of drgn's, as data.

Owns the rows: the option, its help, and which function answers it or why nothing can.
No code of the commands is imported, so that the prompt's start does not pay for them.

Facts: the help pages of crash 9.0.0 (``crash -h all``).
"""

from __future__ import annotations

from btfdbg.lazy_dataclass import dataclass


@dataclass(frozen=True, slots=True)
class Option:
    """
    One option of one command.

    :ivar command: Name of the command, drgn's.
    :ivar flags: Its spellings; empty for an operand, or for what is asked at every run.
    :ivar help: For ``help COMMAND``.
    :ivar run: ``file:function`` in this package; empty if it only says how.
    :ivar refusal: One line instead: why there is no answer, and what to type.
    :ivar metavar: Name of its value; empty if it takes none.
    :ivar nargs: As argparse's.
    :ivar operand: Name of the operand, if it is none of drgn's own.
    :ivar type: Name of a type of drgn's parsers.
    :ivar foreach: Whether ``foreach`` knows it too.
    """

    command: str
    flags: tuple[str, ...]
    help: str = ""
    run: str = ""
    refusal: str = ""
    metavar: str = ""
    nargs: str | None = None
    operand: str = ""
    type: str | None = None
    foreach: bool = False


SUBCOMMANDS = ("net",)
"""What ``foreach`` of crash runs and drgn's does not."""

EXPRESSIONS = frozenset(("search",))
"""Commands whose operands may be expressions in brackets."""

WORDS = {
    ("kmem", "-i=shared"): "shared pages are not counted; type kmem -i",
}
"""(command, word) to why it is refused, where argparse would take the word for another."""

_LIVE = "there is no running kernel behind a dump"
_BYTECODE = "bytecode is not translated; type bpf -p ID -s for its address and length"
_NO_SYMBOL_FILE = "types and symbols come from the dump itself, nothing is loaded to be dropped"


def _bt(flag: str, help_: str, run: str = "", **more: str) -> Option:
    return Option("bt", (flag,), help_, f"bt:{run}" if run else "", foreach=True, **more)


_BT = (
    _bt("-s", "show each function with the offset of the return address in it", "symbolic"),
    _bt("-x", "with -s: offsets in hexadecimal"),
    _bt("-e", "search the stack for exception frames (registers saved there)", "exception_frames"),
    _bt("-E", "search the CPUs' interrupt stacks for exception frames", "irq_exception_frames"),
    _bt("-t", "all text symbols from the stack pointer to the top of the stack", "text_symbols"),
    _bt("-T", "all text symbols of the whole stack", "all_text_symbols"),
    _bt("-r", "the raw words of the stack, with the symbols that they name", "raw"),
    _bt("-o", "return addresses on the stack, stale ones too", "text_symbols"),
    _bt("-R", "only stacks that refer to this symbol or text address", "reference", metavar="REF"),
    Option("bt", ("-v",), "check every task's stack for an overflow", "bt:overflows"),
    Option("bt", ("-g",), "the stacks of all threads of the task's group", "bt:group"),
    Option("bt", ("-n",), "with -a and -c: -n idle leaves out idle tasks", "bt:not_idle",
           metavar="idle"),
    Option("bt", ("-I",), "unwind from this text address", "bt:unwound_from", metavar="IP"),
    Option("bt", ("-S",), "unwind from this stack address", "bt:unwound_from", metavar="SP"),
    Option("bt", ("-O",), refusal="it would only make -o the default; type bt -o"),
    Option("bt", ("-A",), refusal="vector registers are shown on s390x only, and drgn has none;"
           " type bt -a"),
    Option("bt", (), run="bt:plain", foreach=True),
)  # fmt: skip

_KMEM = (
    Option("kmem", ("-S",), "all slabs and objects of slab caches; of these CPUs only (-S=0,1)",
           "slabs:slabs", metavar="CPUS", nargs="?"),
    Option("kmem", ("-r",), "slab usage of each root cache with its children", "slabs:roots"),
    Option("kmem", ("-P",), "the address is a physical one", "kmem:physical"),
    Option("kmem", ("-c",), refusal="no kernel since 2.6 has a page_hash_table;"
           " type files -p INODE for the cached pages of a file"),
    Option("kmem", ("-C",), refusal="no kernel since 2.6 has a page_hash_table;"
           " type files -p INODE for the cached pages of a file"),
    Option("kmem", (), run="kmem:plain"),
)  # fmt: skip

_NET = (
    Option("net", (), operand="tasks", type="pid_or_task", metavar="pid|task",
           help="the task that -s, -S and -n are about"),
    Option("net", ("-s",), "the sockets that a task has open", "net:sockets", foreach=True),
    Option("net", ("-S",), "the same, with struct socket and struct sock", "net:sockets",
           foreach=True),
    Option("net", ("-n",), "network devices of the task's namespace", "net:devices"),
    Option("net", ("-N",), "write an IPv4 address given as a number", "net:ipv4", metavar="ADDR"),
    Option("net", ("-R",), "with -s: only this socket, sock or file descriptor", metavar="REF",
           foreach=True),
    Option("net", ("-x",), "with -S: numbers in hexadecimal", foreach=True),
    Option("net", ("-d",), "with -S: numbers in decimal", foreach=True),
    Option("net", (), run="net:plain"),
)  # fmt: skip

_LOG = (
    Option("log", ("-m",), "show the level of each message", "log:records"),
    Option("log", ("-d",), "show the dictionary of each message", "log:records"),
    Option("log", ("-c",), "show which thread or CPU logged each message", "log:records"),
    Option("log", ("-a",), "audit records that auditd has not fetched", "log:audit"),
    Option("log", ("-s",),
           "what printk kept in per-CPU buffers (before 5.15)", "log:safe_buffers"),
    Option("log", ("-R",), refusal="names of Rust functions are shown as the kernel printed them;"
           " type log | rustfilt if you have it"),
    Option("log", (), run="log:plain"),
)  # fmt: skip


def _vm(flag: str, help_: str, run: str = "", **more: str) -> Option:
    return Option("vm", (flag,), help_, f"vm:{run}" if run else "", foreach=True, **more)


_VM = (
    _vm("-p", "the physical address of every page, or where it is", "pages"),
    _vm("-P", "the same for one struct vm_area_struct", "pages_of", metavar="VMA"),
    _vm("-m", "the struct mm_struct", "mm_struct"),
    _vm("-v", "every struct vm_area_struct", "vma_structs"),
    _vm("-R", "only areas that refer to this number or file", "reference", metavar="REF"),
    _vm("-x", "with -m and -v: numbers in hexadecimal"),
    _vm("-d", "with -m and -v: numbers in decimal"),
    Option("vm", ("-f",), "name the bits of a vm_flags value", "vm:flags", metavar="FLAGS"),
    Option("vm", ("-M",), "of this mm_struct, when the task has lost it", "vm:of_mm",
           metavar="MM"),
)  # fmt: skip

_SYS = (
    Option("sys", ("-c",), "the table of system calls; those with NAME in them, or one number",
           "sys:syscalls", metavar="NAME|NUMBER", nargs="?"),
    Option("sys", ("-t",), "what tainted the kernel", "sys:taint"),
    Option("sys", ("-i",), "the machine's DMI strings", "sys:dmi"),
    Option("sys", ("-panic",), refusal=_LIVE),
    Option("sys", (), run="sys:plain"),
)  # fmt: skip

_SEARCH = (
    Option("search", ("-k",), "kernel memory: linear mapping, then vmalloc and modules",
           "search:kernel"),
    Option("search", ("-K",), "kernel memory without vmalloc and modules", "search:linear"),
    Option("search", ("-V",), "vmalloc areas and modules only", "search:vmalloc"),
    Option("search", ("-u",), "the user memory of the current task", "search:user"),
    Option("search", (), run="search:plain"),
)  # fmt: skip

_MOD = (
    Option("mod", ("-d",), refusal=_NO_SYMBOL_FILE, metavar="MODULE"),
    Option("mod", ("-D",), refusal=_NO_SYMBOL_FILE),
    Option("mod", ("-r",), refusal=f"{_LIVE}: the list of modules cannot have changed;"
           " type mod"),
    Option("mod", ("-R",), refusal=f"{_LIVE}: the list of modules cannot have changed;"
           " type mod"),
    Option("mod", ("-o",), refusal="an old way of crash to load a module's symbols;"
           " type mod -s MODULE FILE"),
    Option("mod", ("-g",), "the addresses of a module's sections, with -s or -S too",
           "mod:sections"),
    Option("mod", (), run="mod:plain"),
)  # fmt: skip

_MOUNT = (
    Option("mount", (), operand="crash_selector", metavar="mount|superblock|dev|dir|dentry|inode",
           help="only what this address, device or folder belongs to"),
    Option("mount", ("-f",), refusal="kernels since 3.13 keep no list of a filesystem's open"
           " files; type foreach files -R PATH, or fuser PATH"),
    Option("mount", ("-i",), refusal="kernels since 2.6.32 keep no such list of dirty inodes;"
           " type files -p INODE for the cached pages of a file"),
    Option("mount", (), run="mount:selected"),
)  # fmt: skip

_BPF = (
    Option("bpf", ("-P",), "what -p says, of all programs", "bpf:every"),
    Option("bpf", ("-M",), "what -m says, of all maps", "bpf:every"),
    Option("bpf", ("-j",), refusal="type bpf -p ID -s for bpf_func and jited_len, then"
           " dis ADDRESS COUNT"),
    Option("bpf", ("-t",), refusal=_BYTECODE),
    Option("bpf", ("-T",), refusal=_BYTECODE),
)  # fmt: skip

_OTHERS = (
    Option("dev", ("-V",), "the device dumps that the dump holds", "dev:dumps"),
    Option("dev", ("-v",), "show one device dump, or copy it to a file", "dev:dump",
           metavar="INDEX [FILE]", nargs="+"),
    Option("dev", (), run="dev:plain"),
    Option("set", ("-v",), "the state of crash's variables", "context:variables"),
    Option("set", ("-a",), refusal="which task ran on a CPU is read from the dump and not set;"
           " type set TASK"),
    Option("set", (), run="context:plain"),
    Option("vtop", (), operand="addresses", nargs="+", foreach=True),
    Option("vtop", (), run="vtop:walk", foreach=True),
    Option("ipcs", ("-M",), "shared memory segments with their pages", "ipcs:segments"),
    Option("irq", (), run="irq:plain"),
)  # fmt: skip

OPTIONS = (*_BT, *_KMEM, *_NET, *_LOG, *_VM, *_SYS, *_SEARCH, *_MOD, *_MOUNT, *_BPF, *_OTHERS)
"""All rows."""
