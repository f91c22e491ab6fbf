"""
Building our own kernel module for a Debian kernel, with BTF where the kernel has it.

Owns: a tree holding the suite's compiler, headers and pahole, in which the
build runs (chroot), so that no compiler of this machine decides what comes
out. Must not know: what the module does.
Facts: kbuild makes BTF for a module when vmlinux lies beside the headers'
.config, and of that vmlinux only the ELF section .BTF is read.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path

from .archive import Archive, unpack
from .initramfs import TRIPLETS
from .kernels import Kernel
from .run import BuildError, run

HOST_ARCH = "amd64"
CROSS = {
    "arm64": ("arm64", "aarch64-linux-gnu"),
    "s390x": ("s390", "s390x-linux-gnu"),
    "ppc64el": ("powerpc", "powerpc64le-linux-gnu"),
    "riscv64": ("riscv", "riscv64-linux-gnu"),
    "amd64": ("x86", ""),
}


def chroot(root: Path, script: str, timeout: float = 900) -> str:
    """
    Run a shell script inside a tree, with /proc, which objtool reads, and /dev/null.

    The mounts are seen in a namespace of its own only; without root that comes
    with a user namespace.

    :param timeout: Seconds.
    :return: What it printed.
    """
    words = ["unshare", "--mount", "--pid", "--fork"]
    if os.geteuid() != 0:
        words.append("--map-root-user")
    inside = (
        'mount -t proc proc "$0/proc" && mount --bind /dev/null "$0/dev/null"'
        ' && exec chroot "$0" /bin/sh -ec "$1"'
    )
    words += ["sh", "-c", inside, str(root), script]
    env = {"PATH": "/usr/bin:/usr/sbin:/bin:/sbin", "HOME": "/tmp"}
    return run(words, env=env, timeout=timeout)


def fill_tree(root: Path, debs: Iterable[Path]) -> None:
    """Make a tree in which :func:`chroot` finds the programs of packages."""
    for deb in debs:
        unpack(deb, root)
    for folder in ("dev", "tmp", "proc"):
        (root / folder).mkdir(exist_ok=True)
    (root / "dev" / "null").touch()
    # Maintainer scripts did not run, and some of the links are theirs.
    for link, target in (("sh", "dash"), ("awk", "gawk")):
        path = root / "usr" / "bin" / link
        if not path.exists():
            path.symlink_to(target)
    chroot(root, "ldconfig 2>/dev/null || true")


def _headers(kernel: Kernel, guest: Archive) -> list[Path]:
    """Download the headers of a kernel; the tools in them are the build machine's."""
    release = kernel.release
    host = Archive(guest.suite, HOST_ARCH, guest.cache, guest.mirror)
    fields = guest.show(f"linux-headers-{release}")
    debs = [guest.download(f"linux-headers-{release}")]
    for name in re.findall(r"linux-(?:headers|kbuild|base)-[\w.+-]+", fields.get("Depends", "")):
        archive = host if name.startswith("linux-kbuild") else guest
        if archive.has(name):
            debs.append(archive.download(name))
    return debs


def build_root(kernel: Kernel, guest: Archive) -> Path:
    """
    Make the tree in which modules for a kernel are built.

    :return: Its path; headers at ``usr/src/linux-headers-RELEASE``.
    """
    host = Archive(guest.suite, HOST_ARCH, guest.cache, guest.mirror)
    root = guest.cache / "buildroots" / f"{kernel.arch}-{kernel.release}"
    if (root / ".ready").exists():
        return root
    depends = guest.show(f"linux-headers-{kernel.release}").get("Depends", "")
    version = re.search(r"gcc-(\d+)", depends)
    if version is None:
        raise BuildError(f"linux-headers-{kernel.release}: names no compiler")
    _, triplet = CROSS[kernel.arch]
    compiler = f"gcc-{version[1]}"
    if triplet:
        compiler += "-" + triplet.replace("_", "-")
    packages = ["make", "bash", "coreutils", "sed", "grep", "gawk", "findutils", "dash", "zstd"]
    packages += ["perl-base", "diffutils", compiler, "binutils", "libelf1", "lz4", "xz-utils"]
    if triplet:
        packages.append("binutils-" + triplet.replace("_", "-"))
    packages = [name for name in packages if host.has(name)]
    # The library's name changed in the transition to 64-bit time.
    packages += [name for name in ("dwarves", "libssl3t64", "libelf1t64") if host.has(name)]
    fill_tree(root, [*host.closure(*packages), *_headers(kernel, guest)])
    (root / ".ready").touch()
    return root


def build_program(arch: str, source: Path) -> bytes:
    """
    Build a static program for the guest with this machine's compiler.

    What it does is of interest, not how it was compiled, so no tree is made for it.

    :param source: One C file.
    """
    compiler = f"{TRIPLETS[arch]}-gcc"
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / source.stem
        run([compiler, "-static", "-O1", "-s", "-pthread", "-o", out, source])
        return out.read_bytes()


def build_bpf(source: Path) -> bytes:
    """
    Build a BPF object with clang and libbpf's headers; any machine's will do.

    :param source: One C file.
    """
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / source.stem
        headers = f"-I/usr/include/{TRIPLETS[HOST_ARCH]}"
        run(["clang", "-target", "bpf", "-g", "-O2", headers, "-c", source, "-o", out])
        return out.read_bytes()


def build_module(kernel: Kernel, guest: Archive, source: Path, vmlinux: Path | None) -> Path:
    """
    Build a module.

    :param source: Folder with a Kbuild file and one module.
    :param vmlinux: ELF file with the kernel's .BTF; without it the module has none.
    :return: The .ko file.
    """
    root = build_root(kernel, guest)
    headers = root / "usr" / "src" / f"linux-headers-{kernel.release}"
    if vmlinux is not None:
        shutil.copyfile(vmlinux, headers / "vmlinux")
    # Bookworm's headers come without it; it has nothing to do in a module that
    # names no BTF ids, which ours does not.
    resolve = headers / "tools" / "bpf" / "resolve_btfids" / "resolve_btfids"
    if not resolve.exists():
        resolve.parent.mkdir(parents=True, exist_ok=True)
        resolve.write_text("#!/bin/sh\nexit 0\n")
        resolve.chmod(0o755)
    work = root / "tmp" / source.name
    shutil.rmtree(work, ignore_errors=True)
    shutil.copytree(source, work)
    arch, triplet = CROSS[kernel.arch]
    prefix = f"{triplet}-" if triplet else ""
    compilers = sorted(
        path.name
        for path in (root / "usr" / "bin").iterdir()
        if re.fullmatch(rf"{re.escape(prefix) or '(x86_64-linux-gnu-)?'}gcc-\d+", path.name)
    )
    if not compilers:
        raise BuildError(f"{root}: no compiler in it")
    make = f"make -C /usr/src/{headers.name} M=/tmp/{source.name} ARCH={arch}"
    make += f" CROSS_COMPILE={prefix} CC={compilers[0]} modules"
    log = chroot(root, f"{make} 2>&1")
    found = list(work.glob("*.ko"))
    if len(found) != 1:
        raise BuildError(f"{source}: {len(found)} modules came out:\n{log[-2000:]}")
    (work / "build.log").write_text(log)
    return found[0]
