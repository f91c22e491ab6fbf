"""Which system call a task is in, with what arguments, and on which file.

Owns reading the registers that user space entered with and naming the call by the function
that serves it. Guesses nothing: the registers must say that they are user space's.

Facts: ``arch/x86/include/asm/processor.h`` (task_pt_regs; 0, 8 or 16 bytes are left above
it), cs has privilege 3 in user space; ``arch/arm64/include/asm/ptrace.h`` (user_mode: PSR
mode 0, orig_x0); ``arch/riscv/include/asm/ptrace.h`` and ``csr.h`` (orig_a0,
SR_SPP); calling conventions in ``arch/*/include/asm/syscall_wrapper.h``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import drgn

from btfdbg.lazy_dataclass import dataclass
from btfdbg.lazy_pattern import pattern
from btfdbg.report.calls import UNREADABLE

if TYPE_CHECKING:
    from btfdbg.report.calls import Call
    from btfdbg.report.look import Look

_CALL = pattern(
    r"__(?:x64|arm64|riscv|s390x|powerpc|loongarch|se|do)_sys_(?P<own>\w+)|ksys_(?P<inner>\w+)"
)
_SR_SPP = 0x100  # riscv: what was interrupted ran in supervisor mode
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
    :ivar args: Six registers as user space gave them; none if they cannot be trusted.
    :ivar file: Path of the file that the first argument names, "" if it names none.
    :ivar doing: ``writing to``, with :attr:`file`.
    """

    name: str
    args: tuple[int, ...] = ()
    file: str = ""
    doing: str = ""

    def __str__(self) -> str:
        return f"{self.name}({', '.join(f'{arg:#x}' for arg in self.args)})"

    @property
    def sentence(self) -> str:
        """What the task was doing: ``writing to /proc/x``, ``in mkdir()``."""
        return f"{self.doing} {self.file}" if self.file else f"in {self.name}()"


def syscall_of(look: Look, task: drgn.Object) -> Syscall | None:
    """The system call that a task is in, ``None`` if it is in none or that is not shown."""
    name = _name(look.stack(task))
    if name is None:
        return None
    args = _arguments(look, task)
    file = doing = ""
    if args and name in _FILE_CALLS:
        file = _path(task, args[0])
        doing = _FILE_CALLS[name] if file else ""
    return Syscall(name, args, file, doing)


def _name(stack: tuple[Call, ...]) -> str | None:
    for call in reversed(stack):
        match = _CALL.match(call.name)
        if match:
            return match["own"] or match["inner"]
    return None


def _arguments(look: Look, task: drgn.Object) -> tuple[int, ...]:
    try:
        regs = _user_registers(look, task)
        if regs is None:
            return ()
        if look.machine == "x86_64":
            return tuple(int(regs.member_(name)) for name in _X86)
        if look.machine == "riscv64":
            return (int(regs.orig_a0), *(int(regs.member_(f"a{i}")) for i in range(1, 6)))
        return (int(regs.orig_x0), *(int(regs.regs[i]) for i in range(1, 6)))
    except UNREADABLE:
        return ()


def _user_registers(look: Look, task: drgn.Object) -> drgn.Object | None:
    """``struct pt_regs`` of user space, if what is there says so itself."""
    prog = look.prog
    type_ = look.pt_regs
    size = drgn.sizeof(type_)
    top = int(task.stack) + look.thread_size
    # Newest first: with FRED two words stay free above it (commit 65c9cc9e2c14,
    # "x86/fred: Reserve space for the FRED stack frame", in v6.9).
    for above in (16, 0, 8) if look.machine == "x86_64" else (0, 16):
        regs = drgn.Object(prog, type_, address=top - above - size).read_()
        if _is_user_space(look.machine, regs):
            return regs
    return None


def _is_user_space(machine: str, regs: drgn.Object) -> bool:
    """Whether a ``struct pt_regs`` says itself that user space was interrupted."""
    if machine == "x86_64":
        return int(regs.cs) == 0x33 and int(regs.ss) == 0x2B
    if machine == "aarch64":
        return int(regs.pstate) & 0x1F == 0 and int(regs.pc) >> 56 == 0
    if machine == "riscv64":
        return not int(regs.status) & _SR_SPP and int(regs.epc) >> 63 == 0
    return False


def _path(task: drgn.Object, fd: int) -> str:
    from drgn.helpers.linux.fs import d_path, fget

    if fd >= 1 << 20:
        return ""
    try:
        file = fget(task, fd)
        return d_path(file.f_path).decode("utf-8", "backslashreplace") if file else ""
    except UNREADABLE:
        return ""
