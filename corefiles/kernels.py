"""
Debian's kernels: which packages make one up, and where its files lie.

Owns: package names across suites and flavours. Must not know: how it boots.
Facts: up to trixie one image package holds all; from 7.x on the image package
is empty and linux-base, linux-binary and linux-modules carry the files.
"""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from .archive import Archive, unpack
from .run import BuildError

# What the meta-package of a flavour is called: linux-image-NAME.
FLAVOURS: dict[str, dict[str, str]] = {
    "amd64": {"cloud": "cloud-amd64", "full": "amd64", "rt": "rt-amd64"},
    "arm64": {"cloud": "cloud-arm64", "full": "arm64", "rt": "rt-arm64", "16k": "arm64-16k"},
    "s390x": {"full": "s390x"},
    "ppc64el": {"full": "powerpc64le", "64k": "powerpc64le-64k"},
    "riscv64": {"full": "riscv64"},
}


@dataclass(frozen=True, slots=True)
class Kernel:
    """One kernel, unpacked."""

    suite: str
    arch: str
    flavour: str
    release: str
    """As uname -r says it."""
    packages: tuple[str, ...]
    """name=version of every package that it came from."""
    root: Path
    """Merged-/usr tree; modules at lib/modules/RELEASE."""
    image: Path
    """What a boot loader takes."""

    @property
    def modules(self) -> Path:
        """Folder with the modules and their indices."""
        return self.root / "lib" / "modules" / self.release

    @property
    def series(self) -> tuple[int, int]:
        """Major and minor version number."""
        match = re.match(r"(\d+)\.(\d+)", self.release)
        if match is None:
            raise BuildError(f"{self.release}: no kernel release")
        return int(match[1]), int(match[2])


def flavour_name(arch: str, flavour: str) -> str:
    """
    Return the name that Debian gives to a flavour of an architecture.

    :param flavour: cloud, full, rt, ... or Debian's own name. An architecture
        without a cloud flavour gives its full one.
    """
    known = FLAVOURS.get(arch)
    if known is None:
        raise BuildError(f"{arch}: no such architecture here; there are {', '.join(FLAVOURS)}")
    if flavour in known.values():
        return flavour
    if flavour in known:
        return known[flavour]
    if flavour == "cloud":
        return known["full"]
    raise BuildError(f"{flavour}: {arch} has the flavours {', '.join(known)}")


def newest_release(archive: Archive, flavour: str) -> str:
    """Return the release that the flavour's meta-package asks for."""
    fields = archive.show(f"linux-image-{flavour}")
    match = re.search(rf"linux-image-(\d\S*-{re.escape(flavour)})\b", fields.get("Depends", ""))
    if match is None:
        raise BuildError(f"linux-image-{flavour}: depends on no kernel image")
    return match[1].removesuffix("-unsigned")


def image_packages(archive: Archive, release: str) -> list[list[str]]:
    """
    Return the groups of packages that hold the files of a release.

    :return: Any one group will do: the signed image is the same kernel as the
        unsigned one, and now and then an archive has lost one of the two.
    """
    split = [f"linux-{part}-{release}" for part in ("base", "binary", "modules")]
    groups = [
        [name for name in split if archive.has(name)] if archive.has(split[2]) else [],
        [f"linux-image-{release}-unsigned"],
        [f"linux-image-{release}"],
    ]
    found = [group for group in groups if group and archive.has(group[-1])]
    if not found:
        raise BuildError(f"{release}: no image package in {archive.suite} for {archive.arch}")
    return found


def _download(archive: Archive, groups: list[list[str]]) -> list[tuple[str, Path]]:
    """Download the first group that the archive really has."""
    failure: BuildError | None = None
    for group in groups:
        try:
            return [(package, archive.download(package)) for package in group]
        except BuildError as error:
            failure = failure or error
    raise failure or BuildError("no package to download")


def fetch(archive: Archive, flavour: str, release: str | None = None) -> Kernel:
    """
    Download and unpack a kernel.

    :param flavour: As :func:`flavour_name` takes it.
    :param release: As uname -r says it; the suite's newest by default.
    """
    name = flavour_name(archive.arch, flavour)
    release = release or newest_release(archive, name)
    root = archive.cache / "kernels" / f"{archive.arch}-{release}"
    packages = []
    for package, deb in _download(archive, image_packages(archive, release)):
        unpack(deb, root)
        packages.append(f"{package}={archive.show(package)['Version']}")
    for place in (root / "boot", root / "usr" / "lib" / "modules" / release):
        for stem in ("vmlinuz", "vmlinux"):
            for image in (place / f"{stem}-{release}", place / stem):
                if image.is_file():
                    return Kernel(
                        archive.suite, archive.arch, name, release, tuple(packages), root, image
                    )
    raise BuildError(f"{release}: no kernel image in {', '.join(packages)}")


def unpack_debug(archive: Archive, release: str, out: Path) -> Path:
    """
    Fetch vmlinux and the modules with DWARF: hundreds of megabytes.

    :param out: Folder to fill with ``vmlinux`` and ``modules/``.
    :return: Path of vmlinux.
    """
    vmlinux = out / "vmlinux"
    if vmlinux.exists():
        return vmlinux
    deb = archive.download(f"linux-image-{release}-dbg")
    tree = out / "unpacked"
    shutil.rmtree(tree, ignore_errors=True)
    unpack(deb, tree)
    debug = tree / "usr" / "lib" / "debug"
    images = [path for path in debug.rglob("vmlinux*") if path.is_file() and not path.is_symlink()]
    modules = next((path for path in debug.rglob(f"modules/{release}") if path.is_dir()), None)
    if len(images) != 1:
        raise BuildError(f"{deb.name}: {len(images)} files vmlinux in it")
    # Before the modules: from 7.x on it is a file in their folder, not the target of a link.
    images[0].rename(vmlinux)
    if modules is not None:
        modules.rename(out / "modules")
        # A link to where vmlinux no longer is.
        (out / "modules" / "vmlinux").unlink(missing_ok=True)
    shutil.rmtree(tree)
    return vmlinux
