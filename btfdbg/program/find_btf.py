"""Where BTF bytes are in a dump: a chain of links, each an independent piece of evidence.

Owns finding and bounded reading of the kernel's BTF and of every ``struct btf``
the kernel holds (modules, bpf programs). Does not parse beyond the header check
that makes a link believe its find, and registers nothing.

To add a place where kernels keep BTF: one function ``link(session) -> bytes |
None`` in ``VMLINUX_LINKS``; the first that answers wins and its name is what
``btfdbg info`` reports.

Facts: ``include/asm-generic/vmlinux.lds.h`` (BTF), ``kernel/bpf/btf.c``
(struct btf, btf_idr, btf_modules), ``include/linux/radix-tree.h``.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterator
from typing import Literal

import drgn
from drgn import FaultError, Object

from btfdbg.btf import Btf
from btfdbg.btf.format import HEADER_LEN, MAGIC_BYTES
from btfdbg.btf.header import Header
from btfdbg.errors import BtfError, BtfFormatError, DebugInfoError
from btfdbg.lazy_dataclass import dataclass
from btfdbg.program import packed_btf
from btfdbg.program.session import Session
from btfdbg.vmcore.platforms import byte_order
from btfdbg.vmcore.read_failures import unread

# Debian's largest (full, 7.x) is under 8 MB; with global variables under 16.
_MAX_BTF_SIZE = 128 << 20
_MIN_BTF_SIZE = 24
_MAX_BTF_OBJECTS = 1 << 16
_MAX_NAME = 256
# How far the search for a header goes: the largest images (all of Debian's full
# flavours) are under 64 MiB, and kernel memory has holes between sections.
_MAX_IMAGE = 256 << 20
_MAX_GAP = 32 << 20
_CHUNK = 1 << 20
_PAGE = 4096
_MAX_HEADER = 256
# Bytes of types in the smallest kernel that has a task_struct at all.
_MIN_KERNEL_TYPES = 100_000


@dataclass(frozen=True, slots=True)
class KernelBtf:
    """
    One ``struct btf`` of the dumped kernel.

    :ivar id: BTF id as bpftool shows it.
    :ivar name: Module name, ``vmlinux``, or empty for a bpf program's.
    :ivar kernel: Whether it describes kernel code (``kernel_btf``).
    :ivar address: Address of the ``struct btf``.
    :ivar data: Address of the raw BTF.
    :ivar size: Bytes at ``data``.
    """

    id: int
    name: str
    kernel: bool
    address: int
    data: int
    size: int


def byteorder(prog: drgn.Program) -> Literal["little", "big"]:
    """Byte order of the dumped kernel, ``little`` or ``big``."""
    platform = prog.platform
    assert platform is not None
    return byte_order(platform)


def read_btf(
    prog: drgn.Program,
    address: int,
    size: int,
    what: str,
    read: Callable[[int, int], bytes] | None = None,
) -> bytes:
    """
    Read raw BTF from virtual memory.

    :param size: Bytes; bounded here, so it may come from the dump.
    :param read: Reads it, instead of the Program itself.
    :raises DebugInfoError: size or magic is wrong, or a page is missing.
    """
    if not _MIN_BTF_SIZE <= size <= _MAX_BTF_SIZE:
        raise DebugInfoError(
            f"{what} is said to have {size} bytes, expected {_MIN_BTF_SIZE} to {_MAX_BTF_SIZE}",
            step="btf",
        )
    try:
        with unread(prog).silent():
            data: bytes = (prog.read if read is None else read)(address, size)
    except FaultError as e:
        raise DebugInfoError(
            f"{what} at {address:#x} ({size} bytes) cannot be read: {e}",
            step="btf",
            hint="the page is not in the dump; give the BTF with --btf FILE",
        ) from e
    magic = MAGIC_BYTES[byteorder(prog)]
    if data[:2] != magic:
        raise DebugInfoError(
            f"{what} at {address:#x} starts with {data[:2].hex()}, expected {magic.hex()}",
            step="btf",
            hint="the memory was overwritten or zeroed; give the BTF with --btf FILE",
        )
    return data


def _from_section_symbols(session: Session) -> bytes | None:
    """
    The ``.BTF`` section of the kernel image.

    Linux kernel commit 90ceddcb4950 ("bpf: Support llvm-objcopy for vmlinux
    BTF") (in v5.7) named it ``__start_BTF``; v5.4 to v5.6 had objcopy's
    ``_binary__btf_vmlinux_bin_start``.
    """
    for start_name, stop_name in (
        ("__start_BTF", "__stop_BTF"),
        ("_binary__btf_vmlinux_bin_start", "_binary__btf_vmlinux_bin_end"),
    ):
        place = session.between(start_name, stop_name)
        if place is not None:
            start, stop = place
            read = functools.partial(packed_btf.read, session)
            return read_btf(session.prog, start, stop - start, "the kernel's BTF", read)
    return None


def _from_image_scan(session: Session) -> bytes | None:
    """
    A BTF header in the kernel image, for kernels whose kallsyms has no data symbols.

    Only the image is searched: module BTF, the page cache's copies of other
    kernels and what bpf programs brought lie elsewhere. What is found there is held
    against VMCOREINFO.
    """
    start = session.vmcoreinfo.symbols.get("_stext")
    if start is None:
        return None
    from btfdbg.program.btf_evidence import contradiction

    found = None
    for address in _headers(session.prog, start, start + _MAX_IMAGE):
        data = _read_by_header(session.prog, address)
        if data is None or (found is not None and data == found[1]):
            continue
        problem = contradiction(Btf.parse(data), session.vmcoreinfo)
        if problem:
            what = f"the BTF at {address:#x} in the kernel image is not this kernel's: {problem}"
            session.note("btf", what)
            continue
        if found is not None:
            raise DebugInfoError(
                f"the kernel image has more than one BTF, at {found[0]:#x} and {address:#x}",
                step="btf",
                hint="give the right one with --btf FILE",
            )
        found = address, data
    return None if found is None else found[1]


def _headers(prog: drgn.Program, start: int, end: int) -> Iterator[int]:
    """Addresses that look like the header of a large BTF."""
    magic = Header(byteorder(prog)).pack()[:4]  # magic, version, flags
    from btfdbg.vmcore.progress import Progress

    address, unreadable = start, 0
    with Progress("looking for BTF", end - start) as progress:
        while address < end and unreadable < _MAX_GAP:
            try:
                chunk = prog.read(address, _CHUNK + len(magic))
            except FaultError:
                chunk = _readable_pages(prog, address)
            unreadable = 0 if chunk.strip(b"\0") else unreadable + _CHUNK
            at = chunk.find(magic)
            while at >= 0:
                if at < _CHUNK:
                    yield address + at
                at = chunk.find(magic, at + 1)
            address += _CHUNK
            progress(address - start)


def _readable_pages(prog: drgn.Program, address: int) -> bytes:
    pages = []
    for page in range(address, address + _CHUNK, _PAGE):
        try:
            pages.append(prog.read(page, _PAGE))
        except FaultError:
            pages.append(bytes(_PAGE))
    return b"".join(pages)


def _read_by_header(prog: drgn.Program, address: int) -> bytes | None:
    """The BTF whose header stands at an address, if its sections are those of a kernel."""
    try:
        header = Header.peek(memoryview(prog.read(address, HEADER_LEN)))
    except (FaultError, BtfFormatError):
        return None
    if (
        header.hdr_len > _MAX_HEADER
        or header.type_len < _MIN_KERNEL_TYPES
        or not header.str_len
        or header.end > _MAX_BTF_SIZE
    ):
        return None
    try:
        data = read_btf(prog, address, header.end, "BTF found in the kernel image")
        btf = Btf.parse(data)
        btf.offset_of("task_struct", "comm")
    except (DebugInfoError, BtfError):
        return None
    return data


Link = Callable[[Session], "bytes | None"]

VMLINUX_LINKS: tuple[tuple[str, Link], ...] = (
    ("symbols __start_BTF..__stop_BTF", _from_section_symbols),
    ("a search of the kernel image", _from_image_scan),
)


def vmlinux_btf(session: Session) -> tuple[bytes, str]:
    """
    Return the kernel's raw BTF and the name of the link that found it.

    :raises DebugInfoError: no link found any; the message of the link that came
        furthest is kept.
    """
    failure: DebugInfoError | None = None
    for source, link in VMLINUX_LINKS:
        try:
            data = link(session)
        except DebugInfoError as e:
            failure = failure or e
            continue
        if data is not None:
            if failure is not None:
                session.note("btf", f"{failure}; used {source} instead")
            return data, source
    if failure is not None:
        raise failure
    raise DebugInfoError(
        "the dump has no kernel BTF that could be found",
        step="btf",
        hint="the kernel needs CONFIG_DEBUG_INFO_BTF=y, or give the BTF with --btf FILE",
    )


def kernel_btfs(session: Session) -> Iterator[KernelBtf]:
    """
    Walk every ``struct btf`` that the kernel holds, in id order.

    Where one list is damaged, the others are walked too.

    :raises DebugInfoError: the lists are not there or cannot be read to their end;
        what was yielded before stands.
    """
    failure: DebugInfoError | None = None
    seen: set[int] = set()
    # What is lost here is said by a note, not at the end of a command.
    with unread(session.prog).silent():
        for source in (_from_idr, _from_modules_list, _from_sysfs):
            walk = source(session)
            if walk is None:
                continue
            try:
                for found in walk:
                    if found.address not in seen:
                        seen.add(found.address)
                        yield found
            except DebugInfoError as e:
                failure = failure or e
                continue
            except (AttributeError, TypeError, LookupError, ValueError, BtfError) as e:
                # The types that lead there are damaged themselves.
                failure = failure or DebugInfoError(
                    f"the kernel's list of BTF does not have the shape it should: {e}",
                    step="module BTF",
                )
                continue
            if failure is None:
                return
    if failure is not None:
        raise failure
    raise DebugInfoError(
        "neither btf_idr, btf_modules nor /sys/kernel/btf can be found in this dump",
        step="module BTF",
        hint="give the modules' files with --modules-dir DIR",
    )


def _from_idr(session: Session) -> Iterator[KernelBtf] | None:
    root = _kernel_object(session, "btf_idr", "struct idr")
    if root is None:
        return None
    return _walk_idr(session, root)


def _walk_idr(session: Session, root: Object) -> Iterator[KernelBtf]:
    from btfdbg.program.walks import xarray_entries

    prog = session.prog
    lost: FaultError | None = None
    count = 0
    try:
        head, base = root.idr_rt.xa_head.value_(), root.idr_base.value_()
        pointer = prog.type("struct btf *")
        for index, entry in itertools.islice(xarray_entries(prog, head), _MAX_BTF_OBJECTS):
            try:
                if isinstance(entry, FaultError):
                    raise entry
                yield _describe(Object(prog, pointer, entry), base + index)
            except FaultError as e:
                lost, count = lost or e, count + 1
    except (FaultError, LookupError) as e:
        raise DebugInfoError(f"btf_idr cannot be walked: {e}", step="module BTF") from e
    if lost is not None:
        raise DebugInfoError(
            f"{count} nodes or entries of btf_idr cannot be read, the first: {lost}",
            step="module BTF",
            hint="--modules-dir DIR reads a module's from its .ko",
        )


def _from_modules_list(session: Session) -> Iterator[KernelBtf] | None:
    head = _kernel_object(session, "btf_modules", "struct list_head")
    if head is None:
        return None
    return _walk_modules_list(session, head)


def _walk_modules_list(session: Session, head: Object) -> Iterator[KernelBtf]:
    from btfdbg.program.walks import list_nodes

    try:
        for node in itertools.islice(list_nodes(head.address_of_()), _MAX_BTF_OBJECTS):
            entry = drgn.container_of(node, "struct btf_module", "list")
            try:
                yield _describe(entry.btf, entry.btf.id.value_())
            except FaultError:
                continue  # this list is walked where btf_idr is damaged, which is said
    except (FaultError, LookupError) as e:
        raise DebugInfoError(
            f"btf_modules cannot be walked to its end: {e}", step="module BTF"
        ) from e


def _from_sysfs(session: Session) -> Iterator[KernelBtf] | None:
    if not session.lookup_symbols("kernel_kobj"):
        return None
    return _walk_sysfs(session)


def _walk_sysfs(session: Session) -> Iterator[KernelBtf]:
    from btfdbg.program.sysfs import sysfs_btfs

    try:
        for btf in itertools.islice(sysfs_btfs(session), _MAX_BTF_OBJECTS):
            yield _describe(btf, btf.id.value_())
    except (FaultError, LookupError, TypeError) as e:
        raise DebugInfoError(
            f"/sys/kernel/btf cannot be walked to its end: {e}", step="module BTF"
        ) from e


def _describe(btf: Object, index: int) -> KernelBtf:
    address = btf.value_()
    try:
        btf = btf[0].read_()  # its members at once, or one by one where a page is missing
    except FaultError:
        pass
    try:
        name = btf.name.string_().decode("utf-8", "backslashreplace")[:_MAX_NAME]
        kernel = bool(btf.kernel_btf)
    except AttributeError:
        # No split BTF before Linux kernel commit 951bb64621b8 ("bpf: Add
        # in-kernel split BTF support") (in v5.11): programs only.
        name, kernel = "", False
    return KernelBtf(
        id=index,
        name=name,
        kernel=kernel,
        address=address,
        data=btf.data.value_(),
        size=btf.data_size.value_(),
    )


def _kernel_object(session: Session, name: str, type_name: str) -> Object | None:
    symbols = session.lookup_symbols(name)
    if len(symbols) != 1:
        return None
    try:
        return Object(session.prog, type_name, address=symbols[0].address)
    except LookupError:
        return None
