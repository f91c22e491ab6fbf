"""
A Python with packages for the guest: the suite's own interpreter, wheels, plain folders.

Owns: which files these are and where they go. Must not know: what they are for.
Facts: Debian's Python looks for packages in /usr/lib/python3/dist-packages; a
wheel is a ZIP file whose tree goes there as it is, but for NAME.data.
"""

from __future__ import annotations

import re
import sys
import zipfile
from collections.abc import Iterable, Sequence
from pathlib import Path

from .archive import Archive, inside, unpack
from .initramfs import Program
from .run import BuildError, run

_PLACE = "usr/lib/python3/dist-packages"
_MACHINES = {"amd64": "x86_64", "arm64": "aarch64", "s390x": "s390x", "ppc64el": "ppc64le"}
# glibc versions that wheels are made for, up to bookworm's.
_MANYLINUX = ("manylinux_2_28", "manylinux_2_17", "manylinux2014")
_LEFT_OUT = re.compile(
    r"usr/share/|.*/(__pycache__|test|tests|idlelib|tkinter|ensurepip|gconv|perl[^/]*)/"
    r"|.*\.(a|h|pyc|tcl)$"
)


def interpreter(archive: Archive) -> tuple[Program, str]:
    """
    Fetch python3 with all that it depends on, and the C++ library, which wheels need.

    :return: Its files and its version, such as ``3.13``.
    """
    root = archive.cache / "tools" / f"python3-{archive.suite}-{archive.arch}"
    for deb in archive.closure("python3", "libstdc++6"):
        unpack(deb, root)
    files: dict[str, Path] = {}
    for path in sorted((root / "usr").rglob("*")):
        name = path.relative_to(root).as_posix()
        if not name.startswith(("usr/lib", "usr/bin/python3")) or _LEFT_OUT.match(name):
            continue
        real = inside(root, name)
        if real is not None and real.is_file():
            files[name] = real
    found = [m[1] for name in files if (m := re.fullmatch(r"usr/bin/python(3\.\d+)", name))]
    if not found:
        raise BuildError(f"python3 of {archive.suite}: no interpreter in it")
    return Program(files), found[0]


def wheels(archive: Archive, version: str, requirements: Sequence[str]) -> Program:
    """
    Download wheels for the guest, without what they depend on, and unpack them.

    :param version: Of the guest's Python.
    :param requirements: As pip takes them; only published wheels will do.
    """
    machine = _MACHINES.get(archive.arch)
    if machine is None:
        raise BuildError(f"{archive.arch}: no wheels are published for it")
    folder = archive.cache / "wheels" / f"{version}-{machine}"
    folder.mkdir(parents=True, exist_ok=True)
    platforms = [word for tag in _MANYLINUX for word in ("--platform", f"{tag}_{machine}")]
    pip = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--only-binary", ":all:"]
    run([*pip, "--python-version", version, *platforms, "-d", folder, *requirements])
    files: dict[str, Path] = {}
    for wheel in sorted(folder.glob("*.whl")):
        tree = wheel.with_suffix("")
        if not tree.exists():
            with zipfile.ZipFile(wheel) as archive_file:
                archive_file.extractall(tree)
        files |= _tree(tree)
    return Program(files)


def packages(folders: Iterable[Path]) -> Program:
    """Take packages as they lie here, without their compiled files."""
    files: dict[str, Path] = {}
    for folder in folders:
        files |= {f"{_PLACE}/{folder.name}/{name}": path for name, path in _plain(folder)}
    return Program(files)


def _tree(tree: Path) -> dict[str, Path]:
    return {f"{_PLACE}/{name}": path for name, path in _plain(tree)}


def _plain(folder: Path) -> Iterable[tuple[str, Path]]:
    for path in sorted(folder.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            yield path.relative_to(folder).as_posix(), path
