"""
The Debian archive of one suite and architecture, with an apt state of its own.

Owns: calling apt so that the machine's own lists, cache and dpkg database stay
untouched, and unpacking. Must not know: what a kernel is.
Facts: apt.conf(5) for the Dir:: options; an empty dpkg status file makes apt's
resolver return the whole closure of a package.
"""

from __future__ import annotations

import fcntl
import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from .run import BuildError, run
from .sources import Mirror, base_suite, machine_mirror

_STALE_SECONDS = 6 * 3600


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Keep other builders with the same cache from writing to a folder meanwhile."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@dataclass
class Archive:
    """Packages of one suite for one architecture."""

    suite: str
    arch: str
    cache: Path
    mirror: Mirror = field(default_factory=machine_mirror)
    _ready: bool = False
    _shown: dict[str, dict[str, str]] = field(default_factory=dict)

    @property
    def _state(self) -> Path:
        return self.cache / "apt" / f"{self.suite}-{self.arch}"

    @property
    def debs(self) -> Path:
        """Folder of downloaded packages, shared by all suites."""
        return self.cache / "debs"

    def _options(self) -> list[str]:
        state = self._state
        settings: dict[str, object] = {
            "Dir::Etc::sourcelist": state / "sources.list",
            "Dir::Etc::sourceparts": "/nonexistent",
            "Dir::Etc::preferencesparts": "/nonexistent",
            "Dir::State::Lists": state / "lists",
            "Dir::State::status": state / "status",
            "Dir::State::extended_states": state / "extended_states",
            "Dir::Cache": state / "cache",
            "Dir::Cache::archives": self.debs,
            "APT::Architecture": self.arch,
            "APT::Architectures": self.arch,
            "APT::Install-Recommends": "false",
            "APT::Sandbox::User": "",
            "Acquire::Languages": "none",
            "Debug::NoLocking": "true",
        }
        if base_suite(self.suite) != self.suite:
            # By itself apt takes nothing from them that the suite below has too.
            settings["APT::Default-Release"] = self.suite
        return [word for key, value in settings.items() for word in ("-o", f"{key}={value}")]

    def update(self, *, force: bool = False) -> None:
        """
        Fetch the package lists, once.

        One archive failing (security, while its mirror is being synchronised)
        is no reason to give up; a package that is then missing is.

        :raises BuildError: the suite's own list could not be fetched.
        """
        if self._ready and not force:
            return
        with _alone(self._state):
            self._update(force)
        self._ready = True

    def _has_main_list(self) -> bool:
        name = f"*_dists_{base_suite(self.suite)}_main_*Packages*"
        return any((self._state / "lists").glob(name))

    def _update(self, force: bool) -> None:
        lists = self._state / "lists"
        self._shown.clear()
        if force or not self._has_main_list():
            for folder in (lists / "partial", self.debs / "partial", self._state / "cache"):
                folder.mkdir(parents=True, exist_ok=True)
            (self._state / "status").touch()
            lines = self.mirror.lines(self.suite)
            (self._state / "sources.list").write_text("\n".join(lines) + "\n")
            try:
                run(["apt-get", *self._options(), "-q", "update"])
            except BuildError:
                if not self._has_main_list():
                    raise

    def show(self, package: str) -> dict[str, str]:
        """
        Return the control fields of the newest version of a package.

        :raises BuildError: the suite does not have it for this architecture.
        """
        self.update()
        if package in self._shown:
            return self._shown[package]
        text = run(["apt-cache", *self._options(), "show", "--no-all-versions", package])
        fields: dict[str, str] = {}
        for line in text.splitlines():
            match = re.match(r"([A-Za-z0-9-]+): ?(.*)", line)
            if match:
                fields.setdefault(match[1], match[2])
        if not fields:
            raise BuildError(f"{package}: not in {self.suite} for {self.arch}")
        self._shown[package] = fields
        return fields

    def has(self, package: str) -> bool:
        """Say whether the suite has a package of that name."""
        try:
            self.show(package)
        except BuildError:
            return False
        return True

    def _stale(self) -> bool:
        """Say whether the lists are so old that packages may have moved on."""
        # Written by update(), in contrast to the lists, which keep the mirror's times.
        return time.time() - (self._state / "sources.list").stat().st_mtime > _STALE_SECONDS

    def _fetch(self, package: str) -> Path:
        fields = self.show(package)
        version = fields["Version"]
        name = f"{fields['Package']}_{version.replace(':', '%3a')}_{fields['Architecture']}.deb"
        path = self.debs / name
        with _alone(self.debs):
            if not path.exists():
                run(
                    ["apt-get", *self._options(), "-q", "download", f"{package}={version}"],
                    cwd=self.debs,
                )
        if not path.exists():
            raise BuildError(f"apt-get download {package}: {name} did not appear")
        return path

    def download(self, package: str) -> Path:
        """
        Download one package, without what it depends on.

        :return: The .deb file, in ``debs``.
        :raises BuildError: unknown package or failed download.
        """
        try:
            return self._fetch(package)
        except BuildError:
            if not self._stale():
                raise
        self.update(force=True)
        return self._fetch(package)

    def closure(self, *packages: str) -> list[Path]:
        """
        Download packages with everything that they depend on.

        :return: The .deb files.
        """
        self.update()
        install = ["apt-get", *self._options(), "-q", "-y", "install"]
        plan = run([*install, "--simulate", *packages])
        with _alone(self.debs):
            run([*install, "--download-only", *packages])
        found = []
        for match in re.finditer(r"(?m)^Inst (\S+) \((\S+) .*\[(\S+)\]\)", plan):
            name = f"{match[1].split(':')[0]}_{match[2].replace(':', '%3a')}_{match[3]}.deb"
            if not (self.debs / name).exists():
                raise BuildError(f"apt-get install {match[1]}: {name} did not appear")
            found.append(self.debs / name)
        if not found:
            raise BuildError(f"apt-get install {' '.join(packages)}: nothing to do")
        return found


def unpack(deb: Path, root: Path) -> Path:
    """
    Unpack a .deb below a folder laid out as merged /usr, once.

    Maintainer scripts do not run.

    :return: ``root``.
    """
    done = root / ".unpacked" / deb.name
    with _alone(done.parent):
        if not done.exists():
            _unpack(deb, root)
            done.touch()
    return root


def _unpack(deb: Path, root: Path) -> None:
    # Older packages still ship /lib and /bin; one layout spares every reader.
    for name in ("bin", "sbin", "lib", "lib64"):
        (root / "usr" / name).mkdir(parents=True, exist_ok=True)
        if not (root / name).is_symlink():
            (root / name).symlink_to(f"usr/{name}")
    with subprocess.Popen(["dpkg-deb", "--fsys-tarfile", deb], stdout=subprocess.PIPE) as pipe:
        done_tar = subprocess.run(
            ["tar", "-x", "--keep-directory-symlink", "--no-same-owner", "-C", root],
            stdin=pipe.stdout,
            capture_output=True,
            check=False,
        )
    if pipe.returncode or done_tar.returncode:
        raise BuildError(f"{deb.name}: {done_tar.stderr.decode(errors='replace').strip()}")


def inside(root: Path, name: str) -> Path | None:
    """
    Find a file in an unpacked tree, following links as if the tree were ``/``.

    :return: Where it really lies, or ``None``.
    """
    path = root
    parts = name.strip("/").split("/")[::-1]
    for _ in range(100):
        if not parts:
            return path if path.exists() else None
        part = parts.pop()
        if part == "..":
            path = path.parent if path != root else root
            continue
        path = path / part
        if path.is_symlink():
            target = str(path.readlink())
            parts += [word for word in target.split("/")[::-1] if word not in ("", ".")]
            path = root if target.startswith("/") else path.parent
    return None
