"""
Where this machine gets Debian from: its own apt sources, read, never written.

Owns: both notations of apt sources and the choice of the entries that are the
Debian archive proper. Must not know: what is fetched from there.
Facts: sources.list(5), one-line style and deb822 style.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from .run import BuildError

CODENAMES = ("buster", "bullseye", "bookworm", "trixie", "forky", "duke", "sid")
_ALIASES = ("oldoldstable", "oldstable", "stable", "testing", "unstable")
_MAIN_SUITES = frozenset(
    name + suffix
    for name in CODENAMES + _ALIASES
    for suffix in ("", "-updates", "-backports", "-proposed-updates")
)
_SECURITY_SUITES = frozenset(
    name + suffix for name in CODENAMES + _ALIASES for suffix in ("-security", "/updates")
)
_KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
# One-line style: deb [ option=value ... ] uri suite [component ...]
_ONE_LINE = re.compile(r"^deb\s+(?:\[(?P<options>[^\]]*)\]\s+)?(?P<uri>\S+)\s+(?P<rest>\S.*)$")


@dataclass(frozen=True, slots=True)
class Entry:
    """One binary-package source: a place, its suites and its components."""

    uris: tuple[str, ...]
    suites: tuple[str, ...]
    components: tuple[str, ...]
    signed_by: str = ""


@dataclass(frozen=True, slots=True)
class Mirror:
    """The Debian archive and its security archive as this machine knows them."""

    main: str
    security: str | None
    keyring: str

    def lines(self, suite: str) -> list[str]:
        """
        Return one-line sources for a suite, with its security archive if it has one.

        :param suite: Debian codename, ``CODENAME-backports`` or ``experimental``; the
            latter two hold few packages and come with the suite that they add to.
        """
        option = f"[signed-by={self.keyring}] " if self.keyring else ""
        base = base_suite(suite)
        found = [f"deb {option}{self.main} {name} main" for name in dict.fromkeys((base, suite))]
        if self.security and base != "sid":
            found.append(f"deb {option}{self.security} {base}-security main")
        return found


def base_suite(suite: str) -> str:
    """Return the suite that another one adds to, or the suite itself."""
    return "sid" if suite == "experimental" else suite.removesuffix("-backports")


def parse_one_line(text: str) -> list[Entry]:
    """Parse the one-line style; comments, ``deb-src`` and malformed lines are left out."""
    entries = []
    for line in text.splitlines():
        match = _ONE_LINE.match(line.split("#", 1)[0].strip())
        if match is None:
            continue
        options = dict(
            word.split("=", 1) for word in (match["options"] or "").split() if "=" in word
        )
        suite, *components = match["rest"].split()
        entries.append(
            Entry(
                (match["uri"],),
                (suite,),
                tuple(components),
                options.get("signed-by", ""),
            )
        )
    return entries


def parse_deb822(text: str) -> list[Entry]:
    """Parse the deb822 style; stanzas that are off or hold only sources are left out."""
    entries = []
    for stanza in re.split(r"\n[ \t]*\n", text):
        fields: dict[str, str] = {}
        last = ""
        for line in stanza.splitlines():
            if line.startswith("#") or not line.strip():
                continue
            if line[0] in " \t":
                if last:
                    fields[last] += "\n" + line.strip()
                continue
            name, _, value = line.partition(":")
            last = name.strip().lower()
            fields[last] = value.strip()
        if "deb" not in fields.get("types", "").split():
            continue
        if fields.get("enabled", "yes").lower() in ("no", "false", "0"):
            continue
        signed_by = fields.get("signed-by", "")
        entries.append(
            Entry(
                tuple(fields.get("uris", "").split()),
                tuple(fields.get("suites", "").split()),
                tuple(fields.get("components", "").split()),
                # A key may stand in the stanza itself; then it is no file name.
                signed_by if signed_by.startswith("/") else "",
            )
        )
    return entries


def choose(entries: Iterable[Entry]) -> Mirror:
    """
    Pick the Debian archive out of a machine's sources.

    Third-party sources are told apart by their suites, which are no Debian
    code names, or by the missing component ``main``.

    :raises BuildError: none of the entries is the Debian archive.
    """
    main: tuple[str, str] | None = None
    security: str | None = None
    for entry in entries:
        if not entry.uris or "main" not in entry.components:
            continue
        uri = entry.uris[0].rstrip("/")
        if main is None and _MAIN_SUITES.intersection(entry.suites):
            main = (uri, entry.signed_by)
        elif security is None and _SECURITY_SUITES.intersection(entry.suites):
            security = uri
    if main is None:
        raise BuildError("apt sources: no Debian archive with component main among them")
    keyring = main[1] or (_KEYRING if Path(_KEYRING).exists() else "")
    return Mirror(main[0], security, keyring)


def machine_mirror(root: Path = Path("/etc/apt")) -> Mirror:
    """
    Read the apt configuration of this machine.

    :raises BuildError: it names no Debian archive.
    """
    entries: list[Entry] = []
    for path in [
        root / "sources.list",
        *sorted((root / "sources.list.d").glob("*")),
    ]:
        if not path.is_file():
            continue
        text = path.read_text(errors="replace")
        if path.suffix == ".sources":
            entries += parse_deb822(text)
        elif path.suffix == ".list":
            entries += parse_one_line(text)
    return choose(entries)
