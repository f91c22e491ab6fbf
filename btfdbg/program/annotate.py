"""What is at an address: every answer the dump gives, most specific first.

Owns the wording and the guess of the type that a slab object holds. The
evidence is drgn's helpers' and the kernel's own tables; each question may fail
on a damaged dump, which costs its answer and nothing else.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import drgn

from btfdbg.errors import BtfdbgError
from btfdbg.lazy_dataclass import dataclass, field
from btfdbg.program import homonyms, placed
from btfdbg.program.session import Session

# Bytes that may lie between a variable's end and the next symbol for alignment's sake.
_ALIGNMENT = 64
# What answers "I do not know" on a damaged dump.
_NO_ANSWER = (
    drgn.FaultError,
    LookupError,
    ValueError,
    TypeError,
    AttributeError,
    ArithmeticError,  # numbers too large, and divisors of 0
    BtfdbgError,
)


@dataclass(frozen=True, slots=True)
class Identity:
    """
    One thing that an address is.

    :ivar kind: ``symbol``, ``task``, ``stack``, ``slab``, ``page``, ``vmap``,
        ``percpu``, ``module``, ``user``, ``null``.
    :ivar text: In words.
    :ivar offset: Bytes from the start of the thing.
    :ivar type: Name of the type that most likely is there, if that is known.
    :ivar why: The evidence for the type.
    """

    kind: str
    text: str
    offset: int = 0
    type: str | None = None
    why: str = ""
    start: int | None = None
    details: dict[str, Any] = field(default_factory=dict, compare=False)


def identify(session: Session, address: int, cache: dict[Any, Any] | None = None) -> list[Identity]:
    """
    Everything that an address is.

    :param cache: Amortises lookups over many addresses; see drgn's
        ``identify_address_all()``.
    """
    return list(_identify(session, address, {} if cache is None else cache))


def _identify(session: Session, address: int, cache: dict[Any, Any]) -> Iterator[Identity]:
    if address < 4096:
        yield Identity("null", "NULL" if not address else f"NULL+{address:#x}", address)
        return
    percpu = _per_cpu(session, address, cache)
    if percpu is not None:
        yield percpu
    try:
        from drgn.helpers.common.memory import identify_address_all

        found = identify_address_all(session.prog, address, cache=cache)
    except _NO_ANSWER:
        return
    while True:
        try:
            item = next(found, None)
        except _NO_ANSWER:
            return
        if item is None:
            return
        try:
            identity = _from_drgn(session, address, item)
        except _NO_ANSWER:
            # It is known to be there; what it is called is not in the dump.
            identity = Identity("other", type(item).__name__.removeprefix("Identified").lower())
        if identity is not None:
            yield identity


def _from_drgn(session: Session, address: int, item: Any) -> Identity | None:
    kind = type(item).__name__
    if kind == "IdentifiedSymbol":
        return _symbol(session, address, item.symbol)
    if kind == "IdentifiedTaskStruct":
        task = item.task
        offset = address - task.value_()
        return Identity(
            "task", f"task {_task(task)}{_plus(offset)}", offset, "struct task_struct",
            "it is in the task list", task.value_(),
        )  # fmt: skip
    if kind == "IdentifiedTaskStack":
        task = item.task
        start = int(task.stack.value_())
        return Identity(
            "stack", f"stack of {_task(task)}{_plus(address - start)}", address - start, start=start
        )
    if kind == "IdentifiedSlabObject":
        return _slab(session, address, item.slab_object_info)
    if kind == "IdentifiedPage":
        start = item.page.value_()
        offset = address - start
        return Identity(
            "page", f"page of pfn {int(item.pfn):#x}{_plus(offset)}", offset, "struct page",
            "it is in vmemmap", start,
        )  # fmt: skip
    if kind == "IdentifiedVmap":
        return Identity("vmap", str(item).removeprefix("vmap: ").join(("vmap ", "")))
    return Identity("other", str(item))


def _own_size(obj: drgn.Object | None) -> int | None:
    """Bytes of an object, ``None`` if its type does not tell."""
    try:
        return None if obj is None else drgn.sizeof(obj)
    except TypeError:
        return None  # an array without a length, a function


def _symbol(session: Session, address: int, symbol: drgn.Symbol) -> Identity:
    offset = address - symbol.address
    type_name = obj = None
    why = ""
    if symbol.kind is not drgn.SymbolKind.FUNC:
        try:
            obj = placed.global_at(session, symbol.name, symbol.address)
            if obj is not None:
                type_name = obj.type_.type_name()
                source = placed.source_at(session, symbol.name, symbol.address)
                why = f"the type of {symbol.name}: {source or 'DWARF'}"
        except _NO_ANSWER:
            pass
    what = "text" if symbol.kind is drgn.SymbolKind.FUNC else "data"
    own = _own_size(obj) if type_name is not None else None
    if own is not None and offset >= own + _ALIGNMENT:
        # Its extent reaches to the next symbol; what lies between is without a name.
        return Identity(
            "symbol", f"{offset - own:#x} bytes past the {own} of {symbol.name}", offset,
            start=symbol.address, details={"section": what},
        )  # fmt: skip
    return Identity(
        "symbol", f"{symbol.name}{_plus(offset)}", offset, type_name, why, symbol.address,
        {"section": what, "name": symbol.name, "size": symbol.size},
    )  # fmt: skip


def _slab(session: Session, address: int, info: Any) -> Identity:
    cache_name = _text(info.slab_cache.name.string_())
    start = int(info.address)
    offset = address - start
    state = "free slab " if info.allocated is False else "slab "
    size = _number(info.slab_cache, "object_size")
    guess, why = slab_type(session, cache_name, size)
    return Identity(
        "slab",
        f"{state}{cache_name}{_plus(offset)}",
        offset,
        guess,
        why,
        start,
        {"cache": cache_name, "allocated": info.allocated, "object_size": size},
    )


def slab_type(session: Session, cache: str, object_size: int | None) -> tuple[str | None, str]:
    """
    The struct that a slab cache most likely holds.

    Cache names are given by hand and often, not always, are the struct's: the
    name gives candidates, the size decides. A general purpose cache
    (``kmalloc-…``) gives no answer.

    :return: Name of the type and the evidence, or (None, reason).
    """
    if cache.startswith(("kmalloc-", "dma-kmalloc", "names_cache")):
        return None, f"{cache} holds objects of any type"
    base = cache.partition("(")[0].replace("-", "_").lower()
    names = [base]
    for ending in ("_cache", "_cachep", "_cachep", "_slab", "_struct", "_pool", "_node", "s"):
        if base.endswith(ending):
            names.append(base.removesuffix(ending))
    for stem in list(names):
        names += [stem + "_struct", stem + "_info", stem + "_node", stem + "_inode_info"]
    if base in _CACHE_TYPES:
        names.insert(0, _CACHE_TYPES[base])
    for name in dict.fromkeys(names):
        try:
            found = session.prog.type(f"struct {name}")
        except (LookupError, SyntaxError):
            continue
        same = [one.type for one in homonyms.homonyms_of(session, found)]
        fitting = [type_ for type_ in same if type_.size == object_size]
        if same and len(fitting) != 1:
            continue  # several of that name, and the size does not tell which
        found = fitting[0] if fitting else found
        which = f", {name}#{same.index(found) + 1}" if same else ""
        if found.size is not None and object_size is not None:
            # task_struct is larger than its type: the FPU state is appended.
            slack = object_size - found.size
            if slack == 0:
                why = f"cache {cache}: its name and size {object_size} agree{which}"
                return f"struct {name}", why
            if name == _CACHE_TYPES.get(base) and slack > 0:
                return (
                    f"struct {name}",
                    f"cache {cache} holds it with {slack} bytes appended",
                )
    return None, f"no struct of {object_size} bytes is called like cache {cache}"


# Caches whose name says something else than their type's. KMEM_CACHE() names a
# cache after its struct; these were made by kmem_cache_create() with a name of
# their own. Linux kernel: the call of each.
_CACHE_TYPES = {
    "task_struct": "task_struct",
    "dentry": "dentry",
    "filp": "file",
    "inode_cache": "inode",
    "sock_inode_cache": "socket_alloc",
    "proc_inode_cache": "proc_inode",
    "shmem_inode_cache": "shmem_inode_info",
    "ext4_inode_cache": "ext4_inode_info",
    "mnt_cache": "mount",
    "radix_tree_node": "xa_node",
    "anon_vma": "anon_vma",
    "kernfs_node_cache": "kernfs_node",
    "skbuff_head_cache": "sk_buff",
    "bio_0": "bio",
    "pid": "pid",
    "cred_jar": "cred",
    "files_cache": "files_struct",
    "sighand_cache": "sighand_struct",
    "signal_cache": "signal_struct",
    "mm_struct": "mm_struct",
    "vm_area_struct": "vm_area_struct",
    "bdev_cache": "bdev_inode",
    "request_queue": "request_queue",
    "maple_node": "maple_node",
    "uts_namespace": "uts_namespace",
    "key_jar": "key",
    "tcp": "tcp_sock",
    "tcpv6": "tcp6_sock",
    "udp": "udp_sock",
    "udpv6": "udp6_sock",
    "unix": "unix_sock",
    "raw": "raw_sock",
}


def _per_cpu(session: Session, address: int, cache: dict[Any, Any]) -> Identity | None:
    """The per-CPU variable at an address in some CPU's area."""
    areas = cache.get("btfdbg.percpu")
    if areas is None:
        areas = cache["btfdbg.percpu"] = list(_per_cpu_areas(session))
    for cpu, start, end, base in areas:
        if start <= address < end:
            offset = address - start + base
            symbols = session.symbols
            if symbols is None:
                return None
            name = _per_cpu_name(session, offset)
            if name is None:
                return None
            found, delta = name
            type_name, why = None, ""
            try:
                obj = placed.global_at(session, found, offset - delta)
                if obj is not None:
                    type_name = obj.type_.type_name()
                    source = placed.source_at(session, found, offset - delta)
                    why = f"the type of {found}: {source or 'DWARF'}"
            except _NO_ANSWER:
                pass
            return Identity(
                "percpu", f"per_cpu({found}, {cpu}){_plus(delta)}", delta, type_name, why,
                address - delta, {"cpu": cpu, "name": found},
            )  # fmt: skip
    return None


def _per_cpu_areas(session: Session) -> Iterator[tuple[int, int, int, int]]:
    """(cpu, start, end, address of the first per-CPU symbol) of the static areas."""
    base, stop = session.between("__per_cpu_start", "__per_cpu_end") or (0, 0)
    size = stop - base
    if size <= 0:
        return
    try:
        from drgn.helpers.linux.cpumask import for_each_possible_cpu

        offsets = session.prog["__per_cpu_offset"]
        for cpu in for_each_possible_cpu(session.prog):
            start = (base + int(offsets[cpu].value_())) & ((1 << 64) - 1)
            yield cpu, start, start + size, base
    except _NO_ANSWER:
        return


def _per_cpu_name(session: Session, offset: int) -> tuple[str, int] | None:
    """Per-CPU symbol whose extent holds an offset."""
    cached = session.prog.cache.get("btfdbg.percpu_symbols")
    if cached is None:
        assert session.symbols is not None
        cached = sorted((s.address, s.size, s.name) for s in session.symbols if s.percpu)
        session.prog.cache["btfdbg.percpu_symbols"] = cached
    import bisect

    i = bisect.bisect_right(cached, (offset, 1 << 64, "")) - 1
    if i < 0:
        return None
    start, size, name = cached[i]
    if size and offset >= start + size:
        return None
    return name, offset - start


def _task(task: drgn.Object) -> str:
    try:
        return f"{task.pid.value_()} ({_text(task.comm.string_())})"
    except drgn.FaultError:
        return f"{task.value_():#x}"


def _text(data: bytes) -> str:
    """A name that the dump has, with what would not print as a backslash and a number."""
    text = data.decode("utf-8", "backslashreplace")
    return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in text)


def _plus(offset: int) -> str:
    return f"+{offset:#x}" if offset else ""


def _number(obj: drgn.Object, member: str) -> int | None:
    try:
        return int(obj.member_(member).value_())
    except _NO_ANSWER:
        return None


def short(session: Session, address: int, cache: dict[Any, Any]) -> str:
    """One phrase about an address, empty if nothing is known of it."""
    if address < 4096:
        return ""
    found = identify(session, address, cache)
    if not found:
        return ""
    first = found[0]
    prefix = f"{first.details.get('section', '')} " if first.kind == "symbol" else ""
    return prefix + first.text
