"""
Kernels of our own: Debian's source, a small configuration, another tool chain.

Owns: the recipes, and building one in a tree with the suite's compilers. Must not
know: what is done with the kernel.
Facts: Documentation/kbuild/llvm.rst (LLVM=-N); scripts/Makefile.btf (flags of pahole);
scripts/kconfig/merge_config.sh.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from .archive import Archive, unpack
from .kbuild import HOST_ARCH, chroot, fill_tree
from .kernels import Kernel
from .run import BuildError, run

_CONFIG = Path(__file__).with_name("own.config")
_TOOLS = """
    make bash coreutils sed grep gawk findutils dash zstd gzip xz-utils tar perl-base perl
    diffutils bison flex bc libelf-dev libssl-dev cpio kmod hostname python3-minimal
    binutils gcc libc6-dev dwarves
"""
PREFIX = "own-"
"""Of the flavours that are kernels of our own."""
_TIMEOUT = 3 * 3600


@dataclass(frozen=True, slots=True)
class Recipe:
    """
    How one of our kernels differs from another.

    :ivar suite: Where source and tools come from.
    :ivar tools: Packages besides the usual ones.
    :ivar make: Variables for make.
    :ivar config: Lines beyond own.config.
    :ivar btf_features: For pahole, beyond those that the kernel asks for.
    """

    name: str
    suite: str
    tools: tuple[str, ...] = ()
    make: str = ""
    config: str = ""
    btf_features: str = ""


RECIPES: dict[str, Recipe] = {
    each.name: each
    for each in (
        Recipe("gcc", "trixie"),
        Recipe(
            "clang",
            "trixie",
            ("clang-19", "lld-19", "llvm-19"),
            "LLVM=-19",
            "CONFIG_LTO_CLANG_THIN=y\nCONFIG_CFI_CLANG=y\nCONFIG_CFI=y\n",
        ),
        # Functions that the compiler changed are described as they are really called.
        Recipe("true-signature", "sid", btf_features="true_signature"),
    )
}


def _tree(recipe: Recipe, host: Archive) -> Path:
    """Make the tree with the tools."""
    root = host.cache / "buildroots" / f"own-{recipe.name}"
    if not (root / ".ready").exists():
        fill_tree(root, host.closure(*_TOOLS.split(), *recipe.tools))
        (root / ".ready").touch()
    return root


def _source(root: Path, host: Archive) -> tuple[Path, str]:
    """Unpack the kernel's source into a tree; return where it is and what it came from."""
    depends = host.show("linux-source").get("Depends", "")
    match = re.search(r"linux-source-[\d.]+", depends)
    if match is None:
        raise BuildError("linux-source: depends on no source")
    package = match[0]
    source = root / "src" / package
    if not (source / ".ready").exists():
        unpack(host.download(package), root)
        source.parent.mkdir(exist_ok=True)
        run(["tar", "-xf", root / "usr" / "src" / f"{package}.tar.xz", "-C", source.parent])
        (source / ".ready").touch()
    return source, f"{package}={host.show(package)['Version']}"


def _ask_pahole(source: Path, features: str) -> None:
    """Let every call of pahole ask for further features."""
    makefile = source / "scripts" / "Makefile.btf"
    text = makefile.read_text()
    if features in text:
        return
    changed, count = re.subn(
        r"(?m)^export PAHOLE_FLAGS ", f"pahole-flags-y += --btf_features={features}\n\\g<0>", text
    )
    if count != 1:
        raise BuildError(f"{makefile}: exports no PAHOLE_FLAGS")
    makefile.write_text(changed)


def build_folder(cache: Path, name: str) -> Path:
    """Return where a kernel's objects lie, vmlinux with DWARF and the modules among them."""
    return cache / "buildroots" / f"own-{name}" / "build"


def fetch(cache: Path, name: str, say: Callable[[str], None], jobs: int = 2) -> Kernel:
    """
    Build a kernel, once.

    :param name: Of the recipe.
    :raises BuildError: no such recipe, or a step failed.
    """
    recipe = RECIPES.get(name)
    if recipe is None:
        raise BuildError(f"{name}: not among {', '.join(RECIPES)}")
    host = Archive(recipe.suite, HOST_ARCH, cache)
    root = _tree(recipe, host)
    source, package = _source(root, host)
    build = build_folder(cache, name)
    installed = build / "installed"
    image = build / "arch" / "x86" / "boot" / "bzImage"
    if not (build / ".ready").exists():
        if recipe.btf_features:
            _ask_pahole(source, recipe.btf_features)
        build.mkdir(exist_ok=True)
        (build / "wanted").write_text(
            _CONFIG.read_text() + recipe.config + f'CONFIG_LOCALVERSION="-cf-{name}"\n'
        )
        say(f"building {package}, {name}: this takes half an hour or more")
        make = f"make -C /src/{source.name} O=/build {recipe.make}"
        merge = f"/src/{source.name}/scripts/kconfig/merge_config.sh"
        log = chroot(
            root,
            f"export KBUILD_BUILD_USER=corefiles KBUILD_BUILD_HOST=corefile; "
            f"{make} tinyconfig 2>&1; cd /build; {merge} -m -O /build .config wanted 2>&1;"
            f" {make} olddefconfig 2>&1; {make} -j{jobs} bzImage modules 2>&1;"
            f" {make} INSTALL_MOD_PATH=/build/installed INSTALL_MOD_STRIP=1 modules_install 2>&1",
            timeout=_TIMEOUT,
        )
        (build / "build.log").write_text(log)
        (build / ".ready").touch()
    release = (build / "include" / "config" / "kernel.release").read_text().strip()
    if not (installed / "usr").is_symlink():
        # Debian's layout, which every reader expects.
        (installed / "usr").symlink_to(".")
    return Kernel(recipe.suite, HOST_ARCH, f"{PREFIX}{name}", release, (package,), installed, image)


def build_module(kernel: Kernel, cache: Path, source: Path) -> Path:
    """
    Build a module for one of our kernels.

    :param source: Folder with a Kbuild file and one module.
    :return: The .ko file.
    """
    recipe = RECIPES[kernel.flavour.removeprefix(PREFIX)]
    root = cache / "buildroots" / f"own-{recipe.name}"
    work = root / "tmp" / source.name
    shutil.rmtree(work, ignore_errors=True)
    shutil.copytree(source, work)
    log = chroot(root, f"make -C /build M=/tmp/{source.name} {recipe.make} modules 2>&1")
    found = list(work.glob("*.ko"))
    if len(found) != 1:
        raise BuildError(f"{source}: {len(found)} modules came out:\n{log[-2000:]}")
    return found[0]


def copy_debug(cache: Path, name: str, out: Path) -> Path:
    """
    Copy vmlinux and the modules with DWARF, laid out as Debian's are by ``debug``.

    :return: Path of vmlinux.
    """
    build = build_folder(cache, name)
    if not (build / ".ready").exists():
        raise BuildError(f"{name}: not built yet")
    out.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(build / "vmlinux", out / "vmlinux")
    for module in build.rglob("*.ko"):
        if not module.is_relative_to(build / "installed"):
            target = out / "modules" / "kernel" / module.relative_to(build)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(module, target)
    return out / "vmlinux"
