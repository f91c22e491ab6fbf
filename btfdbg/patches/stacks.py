"""What drgn 0.3 lacks in stack traces on arm64, riscv64 and s390x.

Owns frames that answer what drgn's do not: on arm64 the address of a frame that was found by
its frame pointer, and the pc among the registers of an interrupted one; on riscv64 the frames
that ``program.unwind_riscv64`` finds, in the shape of drgn's. And the printing of registers of
an architecture that drgn's ``bt`` prints wrongly or not at all.

Facts: AAPCS64 6.2.3 (the frame record: x29 points to the caller's x29 and x30; GCC and clang
keep it at the bottom of the kernel's frames, so that it is where sp was, but for arguments on
the stack and alloca); drgn ``commands/_crash/_bt.py`` (what it asks of a frame),
``helpers/common/stack.py`` (the layout of printed registers); crash's ``help bt`` (on arm64
it prints the frame's x29).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import drgn
from drgn import Architecture, Object

from btfdbg.arch import by_name
from btfdbg.errors import DebugInfoError
from btfdbg.program.session import find_session
from btfdbg.vmcore.platforms import machine_of

if TYPE_CHECKING:
    from btfdbg.program.unwind_riscv64 import Frame


def _arch(prog: drgn.Program) -> Architecture | None:
    return None if prog.platform is None else prog.platform.arch


def with_addresses(trace: Any, known: Sequence[int | None]) -> Any:
    """
    A stack whose frames have addresses, and a pc among the registers, on arm64.

    :param trace: drgn's ``LinuxKernelStack``.
    :param known: Stack pointers of its frames, as far as the code implies them.
    """
    from drgn.helpers.linux.stack import LinuxKernelStack, StackSegment

    if _arch(trace.prog) is not Architecture.AARCH64:
        return trace
    sps = iter(known)
    segments = [
        StackSegment(s.kind, [_Arm64Frame(f, next(sps, None)) for f in s.frames])
        for s in trace.segments
    ]
    return LinuxKernelStack(trace.prog, segments)


class _Arm64Frame:
    """A frame of drgn's with the stack address and the pc that are known another way."""

    def __init__(self, frame: drgn.StackFrame, known: int | None) -> None:
        self._frame = frame
        self._known = known

    def __getattr__(self, name: str) -> Any:
        return getattr(self._frame, name)

    def __getitem__(self, name: str) -> Object:
        return self._frame[name]

    @property
    def sp(self) -> int:
        """The stack pointer; of a frame in the middle, where its frame record is."""
        try:
            sp: int = self._frame.sp
        except LookupError:
            if self._known is not None:
                return self._known
            sp = self._frame.register("x29")
        return sp

    def registers(self) -> dict[str, int]:
        """Registers, the pc among them."""
        found: dict[str, int] = self._frame.registers()
        if "pc" not in found:
            try:
                found["pc"] = self._frame.pc
            except LookupError:
                pass
        return found


def print_registers(original: Callable[..., Any]) -> Callable[..., Any]:
    """drgn's, in rows of ours on s390x and riscv64."""

    def show(prog: drgn.Program, regs: dict[str, int], indent: str = "    ") -> None:
        row = by_name(machine_of(prog.platform))
        if row is None or not row.printed or find_session(prog) is None:
            original(prog, regs, indent)
            return
        for line in row.printed:
            cells = []
            for name in line.split():
                value = regs.get(name)
                text = "?" * 16 if value is None else f"{value:016x}"
                cells.append(f"{name.upper():>3}: {text}")
            print(f"{indent}{'  '.join(cells)}")

    return show


# crash's last row of user space's registers; the others are drgn's.
_ARM64_LAST = (
    ("orig_x0", "ORIG_X0", 16, -1),
    ("syscallno", "SYSCALLNO", 0, (1 << 32) - 1),  # -1 as crash has it
    ("pstate", "PSTATE", 8, -1),
)


def print_user_registers(trace: Any) -> None:
    """
    What user space entered the kernel with, as far as drgn has not printed it below a stack.

    On arm64 drgn's unwinder ends at the kernel's last frame; elsewhere it goes on into user
    space, and drgn prints the registers. On x86-64 it lacks the number of the system call.
    """
    arch = _arch(trace.prog)
    try:
        if arch is Architecture.AARCH64 and len(trace):
            _print_arm64(trace)
        elif arch is Architecture.X86_64:
            _print_orig_rax(trace)
    except (LookupError, AttributeError, drgn.FaultError):
        return


def _print_orig_rax(trace: Any) -> None:
    """``ORIG_RAX``, which crash has in the last row."""
    from drgn.helpers.linux.stack import StackKind

    from btfdbg.program.user_registers import is_user_space

    if len(trace.segments) < 2 or trace.segments[-1].kind is not StackKind.USER:
        return
    kernels, users = trace.segments[-2].frames[-1], trace.segments[-1].frames[0]
    # Where the kernel's last frame ends: entry_SYSCALL_64 and error_entry push them there.
    regs = Object(trace.prog, "struct pt_regs", address=kernels.sp).read_()
    if is_user_space("x86_64", regs) and int(regs.ip) == users.pc and int(regs.sp) == users.sp:
        print(f"    ORIG_RAX: {int(regs.orig_ax):016x}")


def _print_arm64(trace: Any) -> None:
    from drgn.helpers.common.stack import print_registers as drgns

    from btfdbg.program.user_registers import around_record

    last = trace[-1]
    if last.pc >> 55 & 1 == 0:
        return  # a frame of user space: drgn has its registers
    regs = around_record(trace.prog, last.register("x29"))
    if regs is None:
        return
    values = {f"x{i}": int(regs.regs[i]) for i in range(31)}
    values |= {"lr": values["x30"], "sp": int(regs.sp), "pc": int(regs.pc)}
    cells = [
        f"{title}: {int(regs.member_(name)) & mask:0{width}x}"
        for name, title, width, mask in _ARM64_LAST
    ]
    drgns(trace.prog, values)
    print(f"    {'  '.join(cells)}")


def unwind(prog: drgn.Program, args: tuple[Any, ...]) -> Any:
    """
    A stack as drgn's ``kernel_stack_trace()`` gives it.

    :param args: What that was called with.
    :return: ``None`` where we have no unwinder either.
    :raises ValueError: the task's registers were not saved.
    """
    from drgn.helpers.linux.pid import find_task
    from drgn.helpers.linux.stack import LinuxKernelStack, StackKind, StackSegment

    if _arch(prog) is not Architecture.RISCV64:
        return None
    from btfdbg.program import unwind_riscv64

    task = args[-1]
    if not isinstance(task, Object) or task.type_.unaliased_kind() is drgn.TypeKind.INT:
        task = find_task(prog, int(task))
    try:
        low = task.stack.value_()
        stack = range(low, low + int(prog["THREAD_SIZE"]) + 1)
        frames = [RiscvFrame(prog, f, stack) for f in unwind_riscv64.stack(task)]
    except DebugInfoError as e:
        raise ValueError(str(e)) from e
    segments = []
    for part in _split(frames):
        user = part[0].pc < 1 << 63
        segments.append(StackSegment(StackKind.USER if user else StackKind.TASK, part))
    return LinuxKernelStack(prog, segments)


def _split(frames: list[RiscvFrame]) -> Iterator[list[RiscvFrame]]:
    """Parts of a stack, each of which begins where an exception or interrupt came in."""
    part: list[RiscvFrame] = []
    for frame in frames:
        if part and frame.interrupted:
            yield part
            part = []
        part.append(frame)
    if part:
        yield part


class RiscvFrame:
    """
    A frame in the shape of ``drgn.StackFrame``, as far as no debug info is needed for it.

    :ivar interrupted: Whether ``pc`` is an instruction and no return address.
    """

    is_inline = False
    function_name = None

    def __init__(self, prog: drgn.Program, frame: Frame, stack: range) -> None:
        self.prog = prog
        self.pc = frame.pc
        self._sp = frame.sp if frame.sp in stack else None
        self.interrupted = frame.interrupted
        self._regs = frame.regs

    @property
    def sp(self) -> int:
        """:raises LookupError: it is not known; of the outermost frame there is no record."""
        if self._sp is None:
            raise LookupError("stack pointer is not known")
        return self._sp

    @property
    def name(self) -> str:
        """Name of the function, the pc in hexadecimal if it is in none."""
        try:
            name: str = self.symbol().name
        except LookupError:
            return f"{self.pc:#x}"
        return name

    def symbol(self) -> drgn.Symbol:
        """The function's symbol."""
        # A return address may be the first byte of the next function.
        return self.prog.symbol(self.pc - (not self.interrupted))

    def registers(self) -> dict[str, int]:
        """Registers, where an exception saved them."""
        found = {"epc": self.pc}
        if self._sp is not None:
            found["sp"] = self._sp
        if self._regs is not None:
            try:
                regs = Object(self.prog, "struct pt_regs", address=self._regs).read_()
                row = by_name("riscv64")
                names = " ".join(row.printed if row else ()).split()
                found |= {n: regs.member_(n).value_() for n in names}
            except (LookupError, drgn.FaultError):
                pass
        return found

    def register(self, name: str) -> int:
        """
        One register.

        :raises LookupError: it was not saved.
        """
        return self.registers()[name]

    def source(self) -> tuple[str, int, int]:
        """:raises LookupError: always; there are no line numbers."""
        raise LookupError("source code location not available")

    def locals(self) -> list[str]:
        """None are known."""
        return []

    def __getitem__(self, name: str) -> Object:
        raise KeyError(name)

    def __contains__(self, name: str) -> bool:
        return False
