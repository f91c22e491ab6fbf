"""
Open a dump in drgn with the debug files that belong to it, and nothing else.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

import drgn


def open_with_dwarf(core: Path, debug: Path, more: Iterable[Path] = ()) -> drgn.Program:
    """
    Open a dump with DWARF.

    :param debug: Folder with ``vmlinux`` and, below it, the modules' .ko files.
    :param more: .ko files of modules that came from elsewhere.
    :raises drgn.MissingDebugInfoError: the files are another kernel's.
    """
    # btfdbg's own plugin would answer what DWARF does not.
    disabled = os.environ.get("DRGN_DISABLE_PLUGINS")
    os.environ["DRGN_DISABLE_PLUGINS"] = f"{disabled},btfdbg*" if disabled else "btfdbg*"
    prog = drgn.Program()
    prog.set_core_dump(core)
    _no_user_space(prog, core)
    prog.set_enabled_debug_info_finders([])
    prog.load_debug_info([debug / "vmlinux"])
    files = {_module_name(path): path for path in (*debug.rglob("*.ko*"), *more)}
    for module, _ in prog.loaded_modules():
        path = files.get(module.name)
        if path is not None and module.wants_debug_file():
            module.try_file(path)
    return prog


def _module_name(path: Path) -> str:
    # Our own modules are kept under the name of the dump that they are for.
    name = path.name.split(".ko")[0]
    return (name[name.index("-cf_") + 1 :] if "-cf_" in name else name).replace("-", "_")


def _no_user_space(prog: drgn.Program, core: Path) -> None:
    """
    Let user addresses fault.

    QEMU's ELF dumps map physical memory at virtual 0, which no kernel did; a
    stack trace or a list that runs into a NULL pointer would find BIOS data.
    """
    with core.open("rb") as f:
        is_elf = f.read(4) == b"\x7fELF"
    swapper = next(
        (
            int(line.split(b"=")[1], 16)
            for line in prog["VMCOREINFO"].string_().splitlines()
            if line.startswith(b"SYMBOL(swapper_pg_dir)=")
        ),
        0,
    )
    if is_elf and swapper >> 63:
        prog.add_memory_segment(0, 1 << 56, _fault)


def _fault(address: int, count: int, offset: int, physical: bool) -> bytes:
    raise drgn.FaultError("address is not mapped in the kernel", address)


def raw_btf(prog: drgn.Program) -> Iterator[tuple[str, bytes]]:
    """Yield (module or ``vmlinux``, raw BTF) out of the dumped kernel's memory."""
    from drgn.helpers.linux.idr import idr_for_each_entry

    start, stop = prog.symbol("__start_BTF").address, prog.symbol("__stop_BTF").address
    yield "vmlinux", prog.read(start, stop - start)
    for _, btf in idr_for_each_entry(prog["btf_idr"].address_of_(), "struct btf"):
        name = btf.name.string_().decode()
        if btf.kernel_btf and name and name != "vmlinux":
            yield name, prog.read(btf.data, btf.data_size)
