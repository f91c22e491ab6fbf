"""What an argument's value says beyond its number, in a few words.

Owns, for each type that the kernel passes around, the member that tells one object from
another: a task's comm and pid, a file's path, an inode's number and filesystem, a lock's
owner. Every answer may fail on a damaged dump, which costs the words and nothing else.

Facts: ``include/linux/mutex_types.h`` (flags in the low bits of ``owner``),
``include/linux/rwsem.h`` and ``kernel/locking/rwsem.c`` (``owner``, ``RWSEM_READER_OWNED``).
"""

from __future__ import annotations

from collections.abc import Callable

import drgn
from drgn import Object, TypeKind

NO_ANSWER = (
    drgn.FaultError,
    LookupError,
    ValueError,
    TypeError,
    AttributeError,
    ArithmeticError,  # numbers too large, and divisors of 0
    NotImplementedError,
)
"""What a question to a damaged dump may end in."""
_MAX_TEXT = 64
_ESCAPES = {"\n": "\\n", "\t": "\\t"}
_MAX_SYMBOL = 1 << 14
_LOCK_FLAGS = 7
_READER_OWNED = 1
_FILES = "btfdbg.frames.files"
_MAX_FILES = 1 << 12


def plain(value: Object) -> str:
    """A value as C writes it: pointers and addresses in hexadecimal, no type, no members."""
    kind = value.type_.unaliased_kind()
    if kind is TypeKind.POINTER:
        return f"{value.value_():#x}" if value.value_() else "NULL"
    if kind in (TypeKind.INT, TypeKind.ENUM, TypeKind.BOOL):
        return _number(value)
    text: str = value.format_(
        type_name=False, member_type_names=False, dereference=False, symbolize=False, string=False
    )
    return " ".join(text.split())


def _number(value: Object) -> str:
    number = value.value_()
    if value.type_.unaliased_kind() is TypeKind.ENUM:
        text: str = value.format_(type_name=False)
        return text.strip("()")
    if isinstance(number, bool):
        return "true" if number else "false"
    return str(number) if -4096 < number < 4096 else f"{number:#x}"


def words(value: Object) -> str:
    """The telling words of a pointer, "" if there are none."""
    type_ = value.type_.unaliased()
    if type_.kind is not TypeKind.POINTER or not value.value_():
        return ""
    target = type_.type.unaliased()
    try:
        if target.kind is TypeKind.STRUCT and target.tag is not None:
            tell = _TELLING.get(target.tag)
            found = tell(value) if tell is not None else ""
            if found:
                return _clean(found)
        elif target.kind is TypeKind.INT and target.size == 1 and _is_const(type_.type):
            return _string(value)
    except NO_ANSWER:
        pass
    return _symbol(value)


def _symbol(value: Object) -> str:
    try:
        symbol = value.prog_.symbol(value.value_())
    except NO_ANSWER:
        return ""
    offset = value.value_() - symbol.address
    if offset >= _MAX_SYMBOL:  # the nearest name before it, of something else
        return ""
    return _clean(f"{symbol.name}+{offset:#x}" if offset else symbol.name)


def _string(value: Object) -> str:
    """A string of the kernel's own; a user's address is not read."""
    prog, address = value.prog_, value.value_()
    if address < 1 << 63:
        return ""
    text = prog.read_c_string(address, max_size=_MAX_TEXT)
    shown = text.decode("utf-8", "backslashreplace")
    if not shown or not all(c.isprintable() or c in "\n\t\x01" for c in shown):
        return _symbol(value)
    shown = shown.removeprefix("\x01")[: _MAX_TEXT - 1] if shown[0] == "\x01" else shown
    return f'"{_clean(shown)}{"…" if len(text) >= _MAX_TEXT - 1 else ""}"'


def _clean(text: str) -> str:
    """No control characters: names in a dump are anybody's."""
    return "".join(c if c.isprintable() else _ESCAPES.get(c, f"\\x{ord(c):02x}") for c in text)


def _is_const(type_: drgn.Type) -> bool:
    while True:
        if type_.qualifiers & drgn.Qualifiers.CONST:
            return True
        if type_.kind is not TypeKind.TYPEDEF:
            return False
        type_ = type_.type


def _text(obj: Object) -> str:
    return str(obj.string_()[:_MAX_TEXT].decode("utf-8", "backslashreplace"))


def _task(task: Object) -> str:
    return f"{_text(task.comm)} {task.pid.value_()}"


def _file(file: Object) -> str:
    """A file's path, which is read once: the frames of a system call hand it on."""
    prog = file.prog_
    if prog.flags & drgn.ProgramFlags.IS_LIVE:
        return _path(file.f_path)
    known = prog.cache.setdefault(_FILES, {})
    address = file.value_()
    found: str | None = known.get(address)
    if found is None:
        if len(known) >= _MAX_FILES:
            known.clear()
        found = known[address] = _path(file.f_path)
    return found


def _path(path: Object) -> str:
    from drgn.helpers.linux.fs import d_path

    return str(d_path(path)[:256].decode("utf-8", "backslashreplace"))


def _dentry(dentry: Object) -> str:
    from drgn.helpers.linux.fs import dentry_path

    return str(dentry_path(dentry)[:256].decode("utf-8", "backslashreplace"))


def _inode(inode: Object) -> str:
    where = _text(inode.i_sb.s_id)
    kind = _text(inode.i_sb.s_type.name)
    return f"inode {inode.i_ino.value_()} of {kind} {where}"


def _owner(owner: Object) -> str:
    number = owner.counter.value_() & ((1 << 64) - 1)
    return _owned(owner.prog_, number)


def _owned(prog: drgn.Program, number: int) -> str:
    task = number & ~_LOCK_FLAGS
    if not task:
        return "free"
    return f"owner {_task(Object(prog, 'struct task_struct *', task))}"


def _mutex(lock: Object) -> str:
    return _owner(lock.owner)


def _rwsem(lock: Object) -> str:
    number = lock.owner.counter.value_() & ((1 << 64) - 1)
    if not lock.count.counter.value_():
        return "free"
    if number & _READER_OWNED:
        return "owned by readers"
    return _owned(lock.prog_, number)


def _rt_mutex(lock: Object) -> str:
    base = lock.rtmutex if lock.type_.type.has_member("rtmutex") else lock
    return _owned(lock.prog_, base.owner.value_())


def _device(device: Object) -> str:
    name = device.init_name if device.init_name.value_() else device.kobj.name
    return _text(name)


def _work(work: Object) -> str:
    return str(work.prog_.symbol(work.func.value_()).name)


def _by(*members: str) -> Callable[[Object], str]:
    """Name a string that is a member (of a member)."""

    def tell(obj: Object) -> str:
        for member in members:
            obj = obj.member_(member)
        return _text(obj)

    return tell


# struct's name to what tells one of them from another.
_TELLING: dict[str, Callable[[Object], str]] = {
    "task_struct": _task,
    "file": _file,
    "path": _path,
    "dentry": _dentry,
    "inode": _inode,
    "mutex": _mutex,
    "ww_mutex": lambda lock: _mutex(lock.base.address_of_()),
    "rw_semaphore": _rwsem,
    "rt_mutex": _rt_mutex,
    "rt_mutex_base": _rt_mutex,
    "device": _device,
    "platform_device": lambda d: _device(d.dev.address_of_()),
    "pci_dev": lambda d: _device(d.dev.address_of_()),
    "net_device": _by("name"),
    "gendisk": _by("disk_name"),
    "block_device": lambda b: _text(b.bd_disk.disk_name),
    "super_block": lambda s: f"{_text(s.s_type.name)} {_text(s.s_id)}",
    "file_system_type": _by("name"),
    "filename": _by("name"),
    "module": _by("name"),
    "kmem_cache": _by("name"),
    "workqueue_struct": _by("name"),
    "work_struct": _work,
    "delayed_work": lambda w: _work(w.work.address_of_()),
    "kernfs_node": _by("name"),
    "kobject": _by("name"),
    "ctl_table": _by("procname"),
    "device_driver": _by("name"),
    "bus_type": _by("name"),
    "irqaction": _by("name"),
    "linux_binprm": _by("filename"),
    "clocksource": _by("name"),
    "kernel_param": _by("name"),
    "cgroup": lambda c: _text(c.kn.name),
    "pid": lambda p: f"pid {p.numbers[0].nr.value_()}",
    "kiocb": lambda k: _file(k.ki_filp),
    "socket": lambda s: _file(s.file) if s.file.value_() else "",
    "vm_area_struct": lambda v: _file(v.vm_file) if v.vm_file.value_() else "",
    "mm_struct": lambda m: f"of {_task(m.owner)}" if m.owner.value_() else "",
}
