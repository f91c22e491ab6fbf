"""Addresses of variables that no symbol table has, derived from what can be reached.

A kernel with CONFIG_KALLSYMS_ALL=n names only functions; its export tables add
what modules may use. What drgn needs beyond that follows from those: each rule
here proves its result against the dump before it is believed.

Owns the rules and nothing else; those by sysfs are in ``sysfs_rules``, those by code in
``getters``, of stacks' tables in ``orc_rules``, of per-CPU variables in ``per_cpu_rules``.
To add one: a function in ``RULES``.

Facts: ``kernel/params.c`` (``/sys/module``).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from drgn import FaultError, Object, ObjectAbsentError, container_of

from btfdbg.btf import Kind, kinds
from btfdbg.errors import BtfdbgError
from btfdbg.kallsyms import Sym
from btfdbg.lazy_pattern import pattern
from btfdbg.program import getters, orc_rules, per_cpu_rules, sysfs, sysfs_rules

if TYPE_CHECKING:
    from btfdbg.program.session import Session

SOURCE = "derived"
_BACKTRACE_HEAD = pattern(rb"CPU: (\d{1,5}) (?:UID: \d+ )?PID: (\d{1,10}) Comm: ")
_PANIC = b"Kernel panic - not syncing"


def per_cpu_start(session: Session) -> int | None:
    """
    ``__per_cpu_start``: a per-CPU variable's exported address less its offset in BTF.

    Every variable that is both exported and in BTF has to agree.
    """
    btf = session.vmlinux
    starts = set()
    agreeing = 0
    for section_id in btf.types_by_name(".data..percpu", (Kind.DATASEC,)):
        section = btf.type_by_id(section_id)
        assert isinstance(section, kinds.Datasec)
        for var in section.vars:
            for sym in session.lookup_symbols(btf.name_of(var.type)):
                starts.add(sym.address - var.offset)
                agreeing += 1
    return starts.pop() if len(starts) == 1 and agreeing > 1 else None


def modules(session: Session) -> int | None:
    """
    ``modules``: the one entry in the ring of modules that is no module.

    A module is found through its directory in ``/sys/module``.
    """
    root = sysfs.directory(session, "module")
    if root is None:
        return None
    for directory in sysfs.children(root):
        kobject = Object(session.prog, "struct kobject *", directory.priv)
        module = container_of(kobject, "struct module_kobject", "kobj").mod
        if module and _is_module(module):
            return _head_of_ring(module)
    return None


def _is_module(module: Object) -> bool:
    try:
        return bool(module.mkobj.mod.value_() == module.value_())
    except FaultError:
        return False


def _head_of_ring(module: Object) -> int | None:
    heads = []
    first = module.list.address_of_()
    node = first
    for _ in range(sysfs.MAX_CHILDREN):
        if not _is_module(container_of(node, "struct module", "list")):
            heads.append(node.value_())
        node = node.next.read_()
        if node.value_() == first.value_():
            return int(heads[0]) if len(heads) == 1 else None
    return None


def panic_cpu(session: Session) -> int | None:
    """
    The CPU that panicked, by the head of the backtrace it printed.

    Believed if the task that it names is the one on that CPU.
    """
    from drgn.helpers.linux.pid import find_task
    from drgn.helpers.linux.sched import task_cpu

    from btfdbg.program.log_records import log_records

    seen = after = None
    panicked = False
    for _, _, text in log_records(session.prog):  # a tenth of what drgn's helper takes
        match = _BACKTRACE_HEAD.search(text)
        if match is not None:
            seen = int(match[1]), int(match[2])
            after = after or (seen if panicked else None)
        panicked = panicked or text.startswith(_PANIC)
    if not panicked or seen is None:
        return None
    cpu, pid = after or seen
    task = find_task(session.prog, pid)
    if pid and (not task or task_cpu(task) != cpu):
        return None
    return cpu


def stext(session: Session) -> int | None:
    """``_stext``, as VMCOREINFO says it: without it no code is evidence for anything."""
    return session.vmcoreinfo.symbols.get("_stext")


def end_init_stack(session: Session) -> int | None:
    """
    ``__end_init_stack``, by the size that the stacks of other tasks have.

    kallsyms without data symbols has ``__start_init_stack`` all the same
    (``kallsyms.tables``), and drgn takes the kernel's stacks to be as large as these two say.
    """
    from btfdbg.program.thread_size import thread_size

    starts = session.lookup_symbols("__start_init_stack")
    if len(starts) != 1 or session.prog["init_task"].stack.value_() != starts[0].address:
        return None
    size = thread_size(session.prog)
    return None if size is None else starts[0].address + size.value_()


RULES: dict[str, Callable[[Session], int | None]] = {
    "__end_init_stack": end_init_stack,
    "_stext": stext,
    "__per_cpu_start": per_cpu_start,
    "modules": modules,
    **sysfs_rules.RULES,
    **getters.RULES,
    **orc_rules.RULES,
    **per_cpu_rules.RULES,
}


# The rule does not fit this kernel (drgn's AttributeError: a struct without the member, which
# one option less may be), or the way leads over a missing page.
_DOES_NOT_FIT = (
    AttributeError,
    BtfdbgError,
    FaultError,
    LookupError,
    ObjectAbsentError,
    RecursionError,
    TypeError,
    ValueError,
)


class SymbolRules:
    """
    Symbols by rule; each rule runs once, when its name is first asked for.

    :param session: With its types registered.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._found: dict[str, tuple[Sym, ...]] = {}

    def by_name(self, name: str) -> tuple[Sym, ...]:
        """The symbol of a name, if a rule gives one."""
        rule = RULES.get(name)
        if rule is None or not self._session.has_btf:
            return ()
        if name not in self._found:
            self._found[name] = ()  # a rule may ask for its own name
            try:
                with self._session.answers.unfinished():
                    address = _tried(rule, self._session)
            except BaseException:  # a Ctrl-C among them: that is no answer
                del self._found[name]
                raise
            if address is not None:
                self._found[name] = (
                    Sym(name, address, 0, "?", name in per_cpu_rules.RULES, SOURCE),
                )
        return self._found[name]


def _tried(rule: Callable[[Session], int | None], session: Session) -> int | None:
    try:
        return rule(session)
    except _DOES_NOT_FIT:
        return None


def panic_cpu_object(session: Session, name: str) -> Object | None:
    """
    What drgn is told of ``panic_cpu`` in a kernel without that symbol.

    drgn takes a missing ``panic_cpu`` for CPU 0, and so shows a wrong crashed
    task with nothing to tell; an absent object makes it an error instead.
    """
    prog = session.prog
    try:
        type_ = prog.type("atomic_t")
    except LookupError:
        return None
    cpu = _tried(panic_cpu, session)
    if cpu is not None:
        session.note("panic_cpu", f"no symbol; the kernel log says that CPU {cpu} panicked")
        return Object(prog, type_, {"counter": cpu})
    session.note(
        "panic_cpu",
        "no symbol, so the crashed task is not known",
        "the kernel log (log) may tell the task; bt PID shows its stack",
    )
    return Object(prog, type_)
