"""Tables that corelens' modules look things up in: of names, of settings, of dentries.

Owns the walks over the names of CPU features, mitigations and counters, modules with their users
and parameters, the hash table of dentries, sysctl's trees with their values, and the names that
slab caches have in sysfs. Each is bounded: what a table says of its own length is the dump's word.

Facts: the modules of drgn-tools' corelens (what they look up); arch/x86/kernel/cpu/bugs.c and
capflags.c, fs/dcache.c (dentry_hashtable has as many bits as 32 less d_hash_shift),
include/linux/sysctl.h, include/linux/moduleparam.h, mm/slub.c in the kernel.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice

import drgn
from drgn import Object

from btfdbg.program.session import Session
from btfdbg.trim.recorder import Recorder
from btfdbg.trim.touching import SKIPPED, strings, whole
from btfdbg.trim.walks import dentry
from btfdbg.vmcore.platforms import byte_order

# What "cpuinfo" prints, features by number and by mitigation what was chosen; "memstate" counts.
_STRINGS = (
    "x86_cap_flags",
    "x86_bug_flags",
    "hwcap_str",
    "spectre_v1_strings",
    "spectre_v2_strings",
    "ssb_strings",
    "l1tf_vmx_states",
    "mds_strings",
    "taa_strings",
    "srbds_strings",
    "mmio_strings",
    "retbleed_strings",
    "gds_strings",
    "vmstat_text",
)
_MAX_STRINGS = 1 << 10
_MAX_MODULES = 1 << 12
_MAX_USERS = 1 << 12
_MAX_PARAMETERS = 1 << 10
_MAX_VALUE = 1 << 12
_MAX_TABLE = 1 << 20
_MAX_DENTRIES = 1 << 15
_MAX_SETTINGS = 1 << 14
_MAX_SETTING = 1 << 16  # of ip_local_reserved_ports, which corelens reads by its length
_MAX_CACHES = 1 << 13
_WORD = 8
_LOCKED = 1  # the lowest bit of a bucket's head, include/linux/list_bl.h


def cpu_names(recorder: Recorder, session: Session) -> None:
    """The names of CPU features, mitigations and counters, and which CPUs are of which node."""
    for name in _STRINGS:
        try:
            table = recorder.prog[name]
            whole(recorder, table.address_of_())
            for string in islice(table, _MAX_STRINGS):
                strings(recorder, string)
        except SKIPPED:
            continue  # of another architecture, or another kernel
    try:
        for mask in islice(recorder.prog["node_to_cpumask_map"], _MAX_STRINGS):
            if mask.type_.kind is drgn.TypeKind.POINTER and mask:
                whole(recorder, mask)
    except SKIPPED:
        return  # CONFIG_NUMA=n


def modules(recorder: Recorder, session: Session) -> None:
    """Each module with those that use it, and its parameters."""
    from drgn.helpers.linux.list import list_for_each_entry
    from drgn.helpers.linux.module import for_each_module

    for module in islice(for_each_module(recorder.prog), _MAX_MODULES):
        try:
            whole(recorder, module)
            users = module.source_list.address_of_()
            for use in islice(
                list_for_each_entry("struct module_use", users, "source_list"), _MAX_USERS
            ):
                whole(recorder, use)
        except SKIPPED:
            pass  # its parameters may be there
        try:
            for number in range(min(int(module.num_kp), _MAX_PARAMETERS)):
                _parameter(recorder, module.kp + number)
        except SKIPPED:
            continue  # of one module


def _parameter(recorder: Recorder, parameter: Object) -> None:
    """A parameter with its name and value; one that is given back after boot has none."""
    try:
        whole(recorder, parameter)
        strings(recorder, parameter.name)
        whole(recorder, parameter.ops)
        get = recorder.prog.symbol(parameter.ops.get).name
        if get == "param_array_get":
            array = parameter.arr.read_()
            whole(recorder, array)
            if array.num:
                whole(recorder, array.num)
            whole(recorder, array.ops)
            size = int(array.max) * int(array.elemsize)
            recorder.touch(int(array.elem), min(size, _MAX_VALUE))
        elif get == "param_get_string":
            strings(recorder, parameter.arg)
        else:
            recorder.touch(int(parameter.arg), _WORD)
            if get == "param_get_charp":
                strings(recorder, drgn.cast("char **", parameter.arg)[0])
    except SKIPPED:
        return


def dentry_table(recorder: Recorder, session: Session) -> None:
    """The first MiB of the hash table of dentries, and the dentries there with their paths."""
    prog = recorder.prog
    start = int(prog["dentry_hashtable"])
    bits = 32 - int(prog["d_hash_shift"])
    if not 0 < bits <= 32:
        return
    page = int(prog["PAGE_SIZE"])
    order = byte_order(prog.platform)
    seen: set[int] = set()
    left = _MAX_DENTRIES
    for offset in range(0, min(_WORD << bits, _MAX_TABLE), page):
        try:
            heads = prog.read(start + offset, page)
        except SKIPPED:
            continue  # of one page
        for at in range(0, page, _WORD):
            left = _bucket(recorder, int.from_bytes(heads[at : at + _WORD], order), seen, left)


def _bucket(recorder: Recorder, node: int, seen: set[int], left: int) -> int:
    """The dentries of one bucket, ``left`` at most; how many are left."""
    met: set[int] = set()
    try:
        while left and node & ~_LOCKED and node not in met:
            left -= 1
            met.add(node)
            place = Object(recorder.prog, "struct hlist_bl_node *", node & ~_LOCKED)
            entry = drgn.container_of(place, "struct dentry", "d_hash")
            dentry(recorder, entry, seen)
            node = int(entry.d_hash.next)
    except SKIPPED:
        pass  # the rest of one bucket
    return left


def settings(recorder: Recorder, session: Session) -> None:
    """sysctl's tree and that of the first network namespace, with names and values."""
    prog = recorder.prog
    roots = []
    for name, members in (
        ("sysctl_table_root", ("default_set", "dir")),
        ("init_task", ("nsproxy", "net_ns", "sysctls", "dir")),
    ):
        try:
            place = prog[name]
            for member in members:
                place = place.member_(member)
            roots.append(place.address_of_())
        except SKIPPED:
            continue  # without CONFIG_NET there is one tree
    for entry in islice(_settings(recorder, roots), _MAX_SETTINGS):
        _setting(recorder, entry)


def _settings(recorder: Recorder, roots: Iterable[Object]) -> Iterator[Object]:
    """The entries of folders and of those in them."""
    from drgn.helpers.linux.rbtree import rbtree_inorder_for_each_entry

    folders = list(roots)
    seen: set[int] = set()
    while folders:
        folder = folders.pop()
        if folder.value_() in seen:
            continue
        seen.add(folder.value_())
        try:
            whole(recorder, folder)
            nodes = rbtree_inorder_for_each_entry("struct ctl_node", folder.root, "node")
            for node in islice(nodes, _MAX_SETTINGS):
                header = node.header.read_()
                whole(recorder, node)
                whole(recorder, header)
                entry = header.ctl_table + (node - header.node)
                if int(entry.mode) & 0o170000 == 0o040000:
                    folders.append(drgn.container_of(header, "struct ctl_dir", "header"))
                yield entry
        except SKIPPED:
            continue  # the rest of one folder


def _setting(recorder: Recorder, entry: Object) -> None:
    try:
        whole(recorder, entry)
        strings(recorder, entry.procname)
        if entry.data and entry.maxlen > 0:
            recorder.touch(int(entry.data), min(int(entry.maxlen), _MAX_SETTING))
    except SKIPPED:
        return


def slab_names(recorder: Recorder, session: Session) -> None:
    """The folder of slab caches in sysfs, by whose links drgn tells which were merged."""
    from drgn.helpers.linux.rbtree import rbtree_inorder_for_each_entry

    folder = recorder.prog["slab_kset"].kobj.sd.read_()
    whole(recorder, folder)
    root = folder.dir.children.address_of_()
    for node in islice(
        rbtree_inorder_for_each_entry("struct kernfs_node", root, "rb"), _MAX_CACHES
    ):
        try:
            whole(recorder, node)
            strings(recorder, node.name)
            if int(node.flags) & int(recorder.prog["KERNFS_LINK"]):
                whole(recorder, node.symlink.target_kn)
        except SKIPPED:
            continue  # of one cache
