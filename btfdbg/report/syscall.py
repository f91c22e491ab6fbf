"""Which system call a task is in, with what arguments, and on which file.

Owns naming the call by the function that serves it, and its arguments. Guesses nothing: the
registers must say that they are user space's (``program.user_registers``).

Facts: ``arch/arm64/include/asm/ptrace.h`` (orig_x0); ``arch/riscv/include/asm/ptrace.h``
(orig_a0); calling conventions in ``arch/*/include/asm/syscall_wrapper.h``;
``include/trace/syscall.h`` (struct syscall_metadata: how many arguments a call takes and their
names; syscall_nr is negative where the machine's table has no such call),
``include/linux/syscalls.h`` (``__SYSCALL_DEFINEx``: __se_sys_NAME has the call's arguments).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import drgn

from btfdbg.lazy_dataclass import dataclass
from btfdbg.lazy_pattern import pattern
from btfdbg.program.user_registers import at_top
from btfdbg.report.calls import UNREADABLE

if TYPE_CHECKING:
    from btfdbg.report.calls import Call
    from btfdbg.report.look import Look

_CALL = pattern(
    r"__(?:x64|arm64|riscv|s390x|powerpc|loongarch|se|do)_sys_(?P<own>\w+)|ksys_(?P<inner>\w+)"
)
_MOST = 6  # arguments of any system call
_LONGEST = 64  # bytes of a parameter's name
_X86 = ("di", "si", "dx", "r10", "r8", "r9")
# Calls whose first argument is a descriptor, and what the task does to the file.
_FILE_CALLS = {
    "read": "reading", "pread64": "reading", "readv": "reading", "preadv": "reading",
    "preadv2": "reading", "write": "writing to", "pwrite64": "writing to",
    "writev": "writing to", "pwritev": "writing to", "pwritev2": "writing to",
    "ioctl": "in an ioctl of", "fsync": "syncing", "fdatasync": "syncing", "ftruncate":
    "truncating", "fallocate": "allocating in", "getdents": "listing", "getdents64": "listing",
    "lseek": "seeking in", "flock": "locking", "fcntl": "in a fcntl of", "sync_file_range":
    "syncing", "sendfile": "sending to", "accept": "accepting on", "accept4": "accepting on",
    "connect": "connecting", "sendto": "sending on", "recvfrom": "receiving from",
    "sendmsg": "sending on", "recvmsg": "receiving from", "fchmod": "changing",
    "fchown": "changing", "fstatfs": "asking about", "close": "closing",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Syscall:
    """
    A system call that has not returned.

    :ivar name: ``write``.
    :ivar args: Registers as user space gave them, as many as the call takes; none if they cannot
        be trusted.
    :ivar names: What the kernel calls them, as many as :attr:`args`, or none.
    :ivar counted: Whether it is known how many the call takes; else these are all six registers.
    :ivar file: Path of the file that the first argument names, "" if it names none.
    :ivar doing: ``writing to``, with :attr:`file`.
    """

    name: str
    args: tuple[int, ...] = ()
    file: str = ""
    doing: str = ""
    names: tuple[str, ...] = ()
    counted: bool = True

    def __str__(self) -> str:
        given = [f"{arg:#x}" for arg in self.args]
        if self.names:
            given = [f"{name}={value}" for name, value in zip(self.names, given, strict=True)]
        text = f"{self.name}({', '.join(given)})"
        return text if self.counted else f"{text}, of which it may take fewer"

    @property
    def sentence(self) -> str:
        """What the task was doing: ``writing to /proc/x``, ``in mkdir()``."""
        return f"{self.doing} {self.file}" if self.file else f"in {self.name}()"


def syscall_of(look: Look, task: drgn.Object) -> Syscall | None:
    """The system call that a task is in, ``None`` if it is in none or that is not shown."""
    name = _name(look.stack(task))
    if name is None:
        return None
    args, number = _arguments(look, task)
    file = doing = ""
    if args and name in _FILE_CALLS:
        file = _path(task, args[0])
        doing = _FILE_CALLS[name] if file else ""
    parameters = _parameters(look, name, number) if args else ()
    if parameters is None:
        return Syscall(name, args, file, doing, counted=False)
    named = parameters if all(parameters) else ()
    return Syscall(name, args[: len(parameters)], file, doing, named)


def _name(stack: tuple[Call, ...]) -> str | None:
    for call in reversed(stack):
        match = _CALL.match(call.name)
        if match:
            return match["own"] or match["inner"]
    return None


def _arguments(look: Look, task: drgn.Object) -> tuple[tuple[int, ...], int | None]:
    """Six registers of arguments, and the number of the call if the machine keeps it."""
    try:
        regs = _user_registers(look, task)
        if regs is None:
            return (), None
        if look.machine == "x86_64":
            return tuple(int(regs.member_(name)) for name in _X86), int(regs.orig_ax)
        if look.machine == "riscv64":
            return (int(regs.orig_a0), *(int(regs.member_(f"a{i}")) for i in range(1, 6))), None
        return (int(regs.orig_x0), *(int(regs.regs[i]) for i in range(1, 6))), int(regs.syscallno)
    except UNREADABLE:
        return (), None


def _parameters(look: Look, name: str, number: int | None) -> tuple[str, ...] | None:
    """
    Names of a call's parameters, "" for one that is not readable.

    :param number: What the task asked for; metadata of another number are not of this call.
    :return: ``None`` if the dump does not tell how many there are.
    """
    for symbol in look.session.lookup_symbols(f"__syscall_meta__{name}"):
        try:
            meta = drgn.Object(look.prog, "struct syscall_metadata", address=symbol.address)
            count, own = int(meta.nb_args), int(meta.syscall_nr)
        except UNREADABLE:
            continue
        if not 0 <= count <= _MOST or (number is not None and 0 <= own != number):
            continue
        return tuple(_parameter(meta, i) for i in range(count))
    for function in (f"__se_sys_{name}", f"__do_sys_{name}"):
        try:
            parameters = look.prog.function(function).type_.parameters
        except UNREADABLE:
            continue
        if len(parameters) <= _MOST:
            return tuple(p.name or "" for p in parameters)
    return None


def _parameter(meta: drgn.Object, number: int) -> str:
    try:
        name = meta.prog_.read_c_string(int(meta.args[number]), max_size=_LONGEST)
    except UNREADABLE:
        return ""
    text: str = name.decode("ascii", "replace")
    return text if text.isidentifier() else ""


def _user_registers(look: Look, task: drgn.Object) -> drgn.Object | None:
    return at_top(look.prog, look.machine, look.pt_regs, int(task.stack) + look.thread_size)


def _path(task: drgn.Object, fd: int) -> str:
    from drgn.helpers.linux.fs import d_path, fget

    if fd >= 1 << 20:
        return ""
    try:
        file = fget(task, fd)
        return d_path(file.f_path).decode("utf-8", "backslashreplace") if file else ""
    except UNREADABLE:
        return ""
