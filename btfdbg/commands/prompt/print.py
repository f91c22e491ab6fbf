"""``p``: the value of an expression, as crash and gdb print it.

Owns the options, the CPUs behind a colon, and what of a per-CPU variable is shown when no CPU
is named. What an expression means is known by ``values``.

Facts: crash's ``help p``; drgn ``commands/_crash/_eval.py`` (the form of the output).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import drgn
from drgn.commands import CommandError

from btfdbg.commands import display, kernel_names, output, values, words
from btfdbg.commands.candidates import struct_of, underlying
from btfdbg.commands.crash.call import parse_cpus, task_of_user
from btfdbg.commands.define import run_drgns, text_command
from btfdbg.commands.state import state_of
from btfdbg.lazy_dataclass import dataclass
from btfdbg.program.per_cpu import copies, declaration, is_per_cpu
from btfdbg.program.session import Session
from btfdbg.vmcore.read_failures import unread

_OPTION = re.compile(r"\s*-(?P<flags>[xdu]+|-drgn)(?=\s|$)")
_LAST_OPTION = re.compile(r"\s-(?P<flags>[xdu]+|-drgn)\s*$")
_CPUS = re.compile(r"(?P<expression>[^?]*\S):(?P<cpus>|a|all|[\d,-]+)")
# Where crash has them: behind the variable, with the member behind that.
_CPUS_WITHIN = re.compile(r"(?P<name>[A-Za-z_]\w*):(?P<cpus>a|all|[\d,-]*\d)(?P<rest>(\.|->|\[).*)")
# Bytes of what is shown for every CPU at once when no CPU is named.
_SMALL = 16


@dataclass(frozen=True, slots=True)
class Request:
    """
    What is to be printed, and how.

    :ivar cpus: What stands behind the colon; None without one.
    :ivar flags: ``x``, ``d``, ``u``, and ``-drgn``.
    """

    expression: str
    cpus: str | None
    flags: frozenset[str]

    @property
    def base(self) -> int | None:
        """Base of numbers; None for the default."""
        return 16 if "x" in self.flags else 10 if "d" in self.flags else None


def request(text: str) -> Request:
    """
    Take the options and the CPUs off what follows ``p``.

    :raises CommandError: there is no expression.
    """
    flags: set[str] = set()
    while match := _OPTION.match(text):
        flags.update([match["flags"]] if match["flags"] == "-drgn" else match["flags"])
        text = text[match.end() :]
    while (match := _LAST_OPTION.search(text)) and text[: match.start()].strip():
        flags.update([match["flags"]] if match["flags"] == "-drgn" else match["flags"])
        text = text[: match.start()]
    text = text.strip()
    if not text:
        raise CommandError("what? an expression is missing")
    within = _CPUS_WITHIN.fullmatch(text)
    if within:
        return Request(within["name"] + within["rest"], within["cpus"], frozenset(flags))
    of_cpus = _CPUS.fullmatch(text)
    if of_cpus:
        return Request(of_cpus["expression"].strip(), of_cpus["cpus"], frozenset(flags))
    return Request(text, None, frozenset(flags))


@text_command(
    name="p",
    description="print the value of an expression of C or Python",
    usage="**p** [**-x** | **-d**] [**-u**] [**--drgn**] *EXPRESSION*\\[\\ **:**\\ *CPUS*]",
    long_description="""
    Print the value of an expression: C as it stands in the kernel's source (casts, ->, [],
    sizeof, arithmetic, enumerators, container_of(), ADDRESS@COUNT), or Python where it is no C.
    What would write or call a function is refused. -x and -d print numbers in hexadecimal or
    decimal, -u reads the result from the user memory of the current task. Of a per-CPU variable
    name the CPUs behind a colon: ``:`` the current one, ``:a`` all, ``:0,2-3`` these.
    """,
    parse=words.split_shell,
    examples=(
        ("p init_task.comm", "a variable, or a member of one"),
        ("p ((struct task_struct *)&init_task)->pid", "C, as it stands in the source"),
        ("p sizeof(struct task_struct)", "the size of a type"),
        ("p -x init_task.flags", "in hexadecimal; px does the same"),
        ("p runqueues.nr_running:a", "every CPU's; :0,2-3 and : as well"),
    ),
    complete=("variable",),
)
def print_(session: Session, text: str) -> None:
    """Run ``p``."""
    asked = request(text)
    if "-drgn" in asked.flags:
        _drgn_code(session, asked)
        return
    variable = kernel_names.per_cpu_name(session, asked.expression)
    if variable is None or asked.cpus is not None:
        for cpu in _cpus(session, asked):
            _show(session, asked, cpu)
        return
    if not is_per_cpu(session, asked.expression):
        first, _ = next(copies(session, _address(session, variable)))
        found = values.evaluate(session, asked.expression, first)
    else:
        found = session.prog[asked.expression]
    if isinstance(found, drgn.Object) and drgn.sizeof(found) > _SMALL:
        _list(session, asked.expression, variable, found)
        return
    for cpu, _ in copies(session, _address(session, variable)):
        _show(session, asked, cpu)


def _address(session: Session, variable: str) -> int:
    address: int = session.prog[variable].address_
    return address


def _cpus(session: Session, asked: Request) -> Sequence[int | None]:
    if asked.cpus is None:
        return (None,)
    if kernel_names.per_cpu_name(session, asked.expression) is None:
        raise CommandError(f"{asked.expression} is no per-CPU variable, and takes no CPUs")
    return parse_cpus(session.prog, asked.cpus, ":")


def _show(session: Session, asked: Request, cpu: int | None) -> None:
    found = values.evaluate(session, asked.expression, cpu)
    what = asked.expression if cpu is None else f"per_cpu({asked.expression}, {cpu})"
    state = state_of(session.prog)
    if not isinstance(found, drgn.Object):
        shown = repr(found)
        if isinstance(found, int) and not isinstance(found, bool) and asked.base == 16:
            shown = f"{found:#x}"
    else:
        if "u" in asked.flags:
            found = _of_user(session, found)
        elif not struct_of(found.type_) and found.address_ is not None:
            _check_readable(found)
        elif found.address_ == 0:
            _check_not_null(found, what)
        base = asked.base or session.prog.config.get("crash_radix", 10)
        columns = output.current().columns
        shown = display.format_object(found, columns, base, dereference=False)
    number = state.remember_result(found)
    shown_number = f"${number} = " if state.interactive else ""
    output.emit(f"{what} = ", ("dim", shown_number), *display.highlight(shown))
    caution = session.variable_caution(what) if what.isidentifier() else ""
    if caution:
        output.emit(("comment", f"/* {caution} */"))


def _check_readable(found: drgn.Object) -> None:
    """
    A number or pointer is there or not; of a struct what is there is shown.

    :raises drgn.FaultError: it is not.
    """
    if underlying(found.type_).kind not in (drgn.TypeKind.ARRAY, drgn.TypeKind.FUNCTION):
        found.read_()


def _check_not_null(found: drgn.Object, what: str) -> None:
    """
    Say once of a structure at address 0 what each of its members would say.

    :raises CommandError: nothing is there.
    """
    with unread(found.prog_).silent():
        try:
            found.prog_.read(0, 1)
            return
        except drgn.FaultError:
            pass
    raise CommandError(f"{what}: the pointer is NULL")


def _of_user(session: Session, found: drgn.Object) -> drgn.Object:
    """The same object, read from the current task's memory."""
    from drgn.helpers.linux.mm import access_process_vm

    if found.address_ is None or found.bit_field_size_ is not None:
        raise CommandError("-u: only what is in memory is read, as in p -u *(int *)0x7ffe1000")
    task = task_of_user(session.prog)
    data = access_process_vm(task, found.address_, drgn.sizeof(found))
    return drgn.Object.from_bytes_(session.prog, found.type_, data)


def _list(session: Session, expression: str, variable: str, found: drgn.Object) -> None:
    """The addresses of what is too long to be shown for every CPU."""
    print("PER-CPU DATA TYPE:")
    print(f"  {declaration(found.type_, expression)};")
    print("PER-CPU ADDRESSES:")
    last = 0
    for cpu, place in _places(session, expression, variable):
        print(f"  [{cpu}]: {place:x}")
        last = cpu
    print(f"(one CPU's value: {expression}:{last}; every CPU's: {expression}:a)")


def _places(session: Session, expression: str, variable: str) -> Iterator[tuple[int, int]]:
    for cpu, place in copies(session, _address(session, variable)):
        if expression == variable:
            yield cpu, place
            continue
        found = values.evaluate(session, expression, cpu)
        if isinstance(found, drgn.Object) and found.address_ is not None:
            yield cpu, found.address_


def _drgn_code(session: Session, asked: Request) -> None:
    """drgn has the code behind VARIABLE.MEMBER:CPUS."""
    if not re.fullmatch(r"[\w.\[\]]+", asked.expression):
        raise CommandError("--drgn: only for VARIABLE.MEMBER; at the prompt, x = prog['VARIABLE']")
    text = asked.expression + ("" if asked.cpus is None else f":{asked.cpus}")
    run_drgns(session.prog, "p", [text, "--drgn"], state_of(session.prog).globals)
