"""
The guest's file system: busybox, modules, an init script, and what it needs more.

Owns: which files go where in the initramfs, and finding the libraries of a
program in an unpacked tree. Must not know: scenarios.
"""

from __future__ import annotations

import gzip
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from .archive import Archive, inside, unpack
from .cpio import Cpio
from .kernels import Kernel
from .kmods import Order, depmod, load_order, module_name, parse_dep, read_module
from .run import BuildError, run

_FOLDERS = (
    *("dev", "proc", "sys", "tmp", "run", "mnt", "var/log", "etc", "m"),
    *("usr/bin", "usr/sbin", "usr/lib", "usr/lib64"),
)
_BUSYBOX_SUITE = "trixie"
_LIBRARY_FOLDERS = ("usr/lib/{triplet}", "usr/lib", "usr/lib64")
TRIPLETS = {
    "amd64": "x86_64-linux-gnu",
    "arm64": "aarch64-linux-gnu",
    "s390x": "s390x-linux-gnu",
    "ppc64el": "powerpc64le-linux-gnu",
    "riscv64": "riscv64-linux-gnu",
}


@dataclass(frozen=True, slots=True)
class Program:
    """A dynamically linked program and the libraries it loads, as archive names and files."""

    files: Mapping[str, Path]


def busybox(archive: Archive) -> Path:
    """Return busybox-static of the archive's architecture."""
    try:
        deb = archive.download("busybox-static")
    except BuildError:
        # Old suites lose packages now and then; of a static one any suite's will do.
        archive = Archive(_BUSYBOX_SUITE, archive.arch, archive.cache, archive.mirror)
        deb = archive.download("busybox-static")
    root = unpack(deb, archive.cache / "tools" / f"busybox-{archive.suite}-{archive.arch}")
    return root / "usr" / "bin" / "busybox"


def program(archive: Archive, package: str, paths: Iterable[str]) -> Program:
    """
    Fetch programs with all libraries that they need, for the guest.

    :param paths: Of the programs in the package, such as ``usr/bin/makedumpfile``.
    """
    root = archive.cache / "tools" / f"{package}-{archive.suite}-{archive.arch}"
    for deb in archive.closure(package):
        unpack(deb, root)
    folders = [folder.format(triplet=TRIPLETS[archive.arch]) for folder in _LIBRARY_FOLDERS]
    files: dict[str, Path] = {}
    todo = list(paths)
    while todo:
        name = todo.pop()
        if name in files:
            continue
        real = inside(root, name)
        if real is None:
            raise BuildError(f"{package}: no {name} in it")
        files[name] = real
        text = run(["readelf", "-W", "-d", "-l", real])
        if interpreter := re.search(r"interpreter: /([^\]]+)\]", text):
            # Named below /lib or /lib64, which are links to /usr/lib and /usr/lib64.
            todo.append("usr/" + interpreter[1].removeprefix("usr/"))
        for library in re.findall(r"\(NEEDED\)\s+Shared library: \[([^\]]+)\]", text):
            place = next((f for f in folders if inside(root, f"{f}/{library}")), None)
            if place is None:
                raise BuildError(f"{name}: needs {library}, which no package brought")
            todo.append(f"{place}/{library}")
    return Program(files)


def wanted_modules(kernel: Kernel, names: Iterable[str]) -> Order:
    """Order the modules of a kernel for loading; those it does not have are named."""
    folder = depmod(kernel.root, kernel.release)
    return load_order(parse_dep((folder / "modules.dep").read_text()), names)


def build(
    busybox_file: Path,
    init: str,
    kernel: Kernel,
    modules: Order,
    own_modules: Mapping[str, bytes],
    *,
    programs: Iterable[Program] = (),
    files: Mapping[str, bytes] | None = None,
) -> bytes:
    """
    Return a gzip-compressed initramfs.

    Modules lie in /m, named so that the shell's ``*`` gives the loading order.

    :param init: The script that is process 1.
    :param own_modules: Name and image of modules to load after the others.
    :param files: Name and content of further files.
    """
    cpio = Cpio()
    for folder in _FOLDERS:
        cpio.folder(folder)
    for name in ("bin", "sbin", "lib", "lib64"):
        cpio.link(name, f"usr/{name}")
    cpio.device("dev/console", 5, 1)
    cpio.file("usr/bin/busybox", busybox_file.read_bytes(), 0o755)
    cpio.file("init", init.encode(), 0o755)
    images = {
        module_name(path): read_module(kernel.modules / path) for path in modules.paths
    } | dict(own_modules)
    for index, (name, image) in enumerate(images.items()):
        cpio.file(f"m/{index:03d}-{name}.ko", image)
    for each in programs:
        for name, path in each.files.items():
            if name not in cpio:
                cpio.file(name, path.read_bytes(), 0o755)
    for name, data in (files or {}).items():
        cpio.file(name, data, 0o755)
    return gzip.compress(cpio.bytes(), 1, mtime=0)
