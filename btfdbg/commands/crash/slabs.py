"""``kmem -S``: the slabs of caches and whether each object is in use; ``-r``.

Owns the walk over a cache's slabs and its form. Which objects are free is drgn's answer.

Facts: ``mm/slub.c``: struct kmem_cache_cpu (until v7.0), struct kmem_cache_node.partial,
struct slab; slabs that are full are on no list, and are found among the pages.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import drgn
from drgn.commands import CommandError

from btfdbg.commands import tables
from btfdbg.commands.crash.another import run_line
from btfdbg.commands.crash.call import Call, name_of, parse_cpus
from btfdbg.patches.install import reach

_MAX_OBJECTS = 1 << 16
_HEAD = ("CACHE", "OBJSIZE", "ALLOCATED", "TOTAL", "SLABS", "SSIZE", "NAME")
_SLAB_HEAD = ("SLAB", "MEMORY", "NODE", "TOTAL", "ALLOCATED", "FREE")


def roots(call: Call) -> None:
    """``-r``: root caches with what their children use."""
    if not call.session.lookup_symbols("slab_root_caches"):
        raise CommandError(
            "-r: since v5.9 a slab cache has no children of its own per memory cgroup; type kmem -s"
        )
    raise CommandError("-r: caches per memory cgroup are not added up here; type kmem -s")


def slabs(call: Call) -> None:
    """``-S [=CPUS] [NAME|ADDRESS …]``: slabs and objects."""
    from drgn.helpers.linux.slab import find_slab_cache, for_each_slab_cache

    prog = call.prog
    value = str(call.option("-S") or "")
    words = list(call.args.name)
    cpus: list[int] | None = None
    if value and _is_cpus(value):
        cpus = parse_cpus(prog, value)
    elif value:
        words.insert(0, value)
    ignored = set((call.args.ignore_slab_caches or "").split(",")) - {""}
    caches: Iterable[drgn.Object]
    if words == ["list"]:
        caches = ()
        run_line(prog, "kmem", ["-s", "list"])
    elif words:
        found = []
        for word in words:
            cache = find_slab_cache(prog, word)
            if not cache:
                cache = _cache_at(prog, word)
            found.append(cache)
        caches = found
    else:
        caches = for_each_slab_cache(prog)
    walked = _Pages(prog)
    for cache in caches:
        if name_of(cache.name) in ignored:
            tables.section([_HEAD, (tables.hexadecimal(cache.value_()), "[IGNORED]", *([""] * 4),
                                    name_of(cache.name))])  # fmt: skip
            continue
        try:
            _show(call, cache, cpus, walked)
        except drgn.FaultError as e:
            # Of all caches the others are shown.
            if words:
                raise
            print(f"{name_of(cache.name)}: cut short, {e.address:#x} is not in the dump")


def _is_cpus(text: str) -> bool:
    return text in ("a", "all") or all(c in "0123456789,-" for c in text)


def _cache_at(prog: drgn.Program, word: str) -> drgn.Object:
    """The cache of the object at an address, or at the address itself."""
    from drgn.helpers.linux.slab import for_each_slab_cache, slab_object_info

    try:
        address = int(word, 16)
    except ValueError:
        raise CommandError(f"-S {word}: no slab cache of that name; kmem -s list") from None
    for cache in for_each_slab_cache(prog):
        if cache.value_() == address:
            return cache
    try:
        info = slab_object_info(prog, address)
    except (LookupError, ValueError, drgn.FaultError):
        info = None
    if info is None:
        raise CommandError(f"-S {word}: neither a slab cache nor an object of one")
    return info.slab_cache


class _Pages:
    """The slabs of all caches, found in one walk over the pages."""

    def __init__(self, prog: drgn.Program) -> None:
        self._prog = prog
        self._by_cache: dict[int, list[drgn.Object]] | None = None

    def of(self, cache: drgn.Object) -> list[drgn.Object]:
        """struct slab (struct page before v5.17) of a cache."""
        if self._by_cache is None:
            found: dict[int, list[drgn.Object]] = {}
            for slab in self._slabs():
                found.setdefault(slab.slab_cache.value_(), []).append(slab)
            self._by_cache = found
        return self._by_cache.get(cache.value_(), [])

    def _slabs(self) -> Iterator[drgn.Object]:
        from drgn.helpers.linux.mm import PageSlab, for_each_page

        try:
            slab_type = self._prog.type("struct slab *")
        except LookupError:
            slab_type = self._prog.type("struct page *")
        for page in for_each_page(self._prog):
            try:
                if PageSlab(page):
                    yield drgn.cast(slab_type, page)
            except drgn.FaultError:
                continue


def _show(call: Call, cache: drgn.Object, cpus: list[int] | None, walked: _Pages) -> None:
    from drgn.helpers.linux.slab import slab_cache_order, slab_cache_usage

    prog = call.prog
    name = name_of(cache.name)
    try:
        usage = slab_cache_usage(cache)
        numbers: tuple[object, ...] = (usage.active_objs, usage.num_objs, usage.num_slabs)
        order = slab_cache_order(cache)
    except ValueError:
        numbers, order = ("[UNKNOWN]", "", ""), 0
    size = f"{prog['PAGE_SIZE'].value_() << min(order, 20) >> 10}k"
    row = (tables.hexadecimal(cache.value_()), cache.object_size.value_(), *numbers, size, name)
    tables.section([_HEAD, row])
    allocated = _allocated(cache, walked.of(cache))
    listed = {s.value_() for _, s in _per_cpu(cache, cpus)}
    for cpu, slab in _per_cpu(cache, cpus):
        _slab(f"CPU {cpu} SLAB:", cache, slab, allocated)
    if cpus is not None:
        return
    for node, slab in _partial(cache):
        listed.add(slab.value_())
        _slab(f"KMEM_CACHE_NODE {node} PARTIAL:", cache, slab, allocated)
    for slab in walked.of(cache):
        if slab.value_() not in listed:
            _slab("OTHER SLAB (full, or on a CPU's partial list):", cache, slab, allocated)


def _allocated(cache: drgn.Object, slabs_of_it: list[drgn.Object]) -> set[int] | None:
    """Addresses of the objects that are in use; ``None`` if the free lists are damaged."""
    from drgn.helpers.linux import slab as drgns

    if reach("drgn.helpers.linux.slab", "for_each_page") is None:
        raise CommandError("-S: the installed drgn finds a cache's objects in another way")
    # drgn goes through all pages for each cache; which are this one's is known already.
    pages = [drgn.cast("struct page *", slab) for slab in slabs_of_it]
    names = vars(drgns)
    everything = names["for_each_page"]
    names["for_each_page"] = lambda prog: iter(pages)
    try:
        return {o.value_() for o in drgns.slab_cache_for_each_allocated_object(cache, "void")}
    except (ValueError, LookupError, drgn.FaultError) as e:
        print(f"  which objects are in use is not known: {e}")
        return None
    finally:
        names["for_each_page"] = everything


def _per_cpu(cache: drgn.Object, cpus: list[int] | None) -> Iterator[tuple[int, drgn.Object]]:
    from drgn.helpers.linux.cpumask import for_each_possible_cpu
    from drgn.helpers.linux.percpu import per_cpu_ptr

    try:
        pointer = cache.cpu_slab
    except AttributeError:
        return  # Linux kernel commit 32c894c7274b ("slab: remove struct kmem_cache_cpu") (v7.0)
    for cpu in for_each_possible_cpu(cache.prog_):
        if cpus is not None and cpu not in cpus:
            continue
        own = per_cpu_ptr(pointer, cpu)
        try:
            slab = own.slab.read_()
        except AttributeError:
            slab = own.page.read_()  # before v5.17
        if slab:
            yield cpu, slab


def _partial(cache: drgn.Object) -> Iterator[tuple[int, drgn.Object]]:
    from drgn.helpers.linux.list import list_for_each_entry
    from drgn.helpers.linux.nodemask import for_each_online_node

    prog = cache.prog_
    try:
        type_ = prog.type("struct slab")
    except LookupError:
        type_ = prog.type("struct page")
    member = "slab_list" if type_.has_member("slab_list") else "lru"
    for node in for_each_online_node(prog):
        try:
            own = cache.node[node].read_()
        except AttributeError:
            own = cache.per_node[node].node.read_()  # since v7.1
        if own:
            for slab in list_for_each_entry(type_, own.partial.address_of_(), member):
                yield node, slab


def _slab(title: str, cache: drgn.Object, slab: drgn.Object, allocated: set[int] | None) -> None:
    from drgn.helpers.linux.mm import page_to_virt

    page = drgn.cast("struct page *", slab)
    memory = page_to_virt(page).value_()
    total = slab.objects.value_()
    try:
        pad = cache.red_left_pad.value_()
    except AttributeError:
        pad = 0
    step = cache.size.value_()
    if not 0 < total <= _MAX_OBJECTS or not 0 < step <= 1 << 24:
        print(f"  slab {slab.value_():x}: {total} objects of {step} bytes cannot be")
        return
    places = [memory + pad + i * step for i in range(total)]
    used = None if allocated is None else sum(place in allocated for place in places)
    free = None if used is None else total - used
    if not tables.wanted():
        print(title)
    row = (tables.hexadecimal(slab.value_()), tables.hexadecimal(memory), _node(cache.prog_), total,
           used, free)  # fmt: skip
    if tables.wanted():
        objects = [
            {"address": place, "allocated": None if allocated is None else place in allocated}
            for place in places
        ]
        tables.section([(*_SLAB_HEAD, "WHERE", "OBJECTS"), (*row, title.rstrip(":"), objects)])
        return
    tables.section([_SLAB_HEAD, row])
    print("FREE / [ALLOCATED]")
    for place in places:
        if allocated is None:
            print(f" ?{place:x}")
        else:
            print(f"  [{place:x}]" if place in allocated else f"   {place:x}")


def _node(prog: drgn.Program) -> int | None:
    """The NUMA node of all pages, if there is one node; else ``None``."""
    from drgn.helpers.linux.nodemask import for_each_online_node

    nodes = list(for_each_online_node(prog))
    return nodes[0] if len(nodes) == 1 else None
