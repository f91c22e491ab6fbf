"""
The record that goes with a dump, and the list of the bundled ones.

Owns: what a manifest entry holds. One entry is a JSON object: ``file``,
``size``, ``sha256``, ``suite``, ``arch``, ``flavour``, ``release``,
``build_id``, ``packages``, ``scenario``, ``summary``, ``how`` (the kind of
dump), ``memory`` (MiB), ``qemu``, ``markers``, ``expect`` and ``facts`` (what
the guest printed: see ``facts.py``). ``manifest.json`` in this folder is a
list of such entries for the bundled dumps.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from .run import BuildError

BUNDLED = Path(__file__).with_name("manifest.json")
_REQUIRED = ("file", "sha256", "arch", "release", "build_id", "scenario", "how", "facts")


def digest(path: Path) -> str:
    """Return a file's SHA-256 in hexadecimal."""
    with path.open("rb") as file:
        digest = hashlib.sha256()
        while chunk := file.read(1 << 20):
            digest.update(chunk)
        return digest.hexdigest()


def entry_path(dump: Path) -> Path:
    """Return where a dump's entry lies: beside it."""
    return dump.with_name(dump.name + ".json")


def write_entry(dump: Path, entry: dict[str, Any]) -> Path:
    """Complete an entry with the file's own facts and write it beside the dump."""
    full = {"file": dump.name, "size": dump.stat().st_size, "sha256": digest(dump), **entry}
    path = entry_path(dump)
    path.write_text(json.dumps(full, indent=1, sort_keys=False) + "\n")
    return path


def read_entry(dump: Path) -> dict[str, Any]:
    """
    Read the entry of a dump.

    :raises BuildError: there is none, or it lacks what every entry has.
    """
    path = entry_path(dump)
    try:
        entry = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise BuildError(f"{path}: {error}") from error
    missing = [name for name in _REQUIRED if name not in entry]
    if missing:
        raise BuildError(f"{path}: lacks {', '.join(missing)}")
    found: dict[str, Any] = entry
    return found


def bundled(path: Path = BUNDLED) -> list[dict[str, Any]]:
    """Return the entries of the bundled dumps."""
    if not path.exists():
        return []
    entries: list[dict[str, Any]] = json.loads(path.read_text())
    return entries


def bundle(dump: Path, entry: dict[str, Any], path: Path = BUNDLED) -> None:
    """
    Add a dump lying beside the manifest to it, or renew its entry.

    :param entry: Of the dump that it was made from; ``file``, ``size`` and
        ``sha256`` are replaced by those of ``dump``.
    :raises BuildError: the dump lies elsewhere.
    """
    if dump.resolve().parent != path.resolve().parent:
        raise BuildError(f"{dump}: bundled dumps lie in {path.parent}")
    own = {"file": dump.name, "size": dump.stat().st_size, "sha256": digest(dump)}
    kept = [each for each in bundled(path) if each["file"] != dump.name]
    kept.append({**entry, **own})
    kept.sort(key=lambda each: str(each["file"]))
    path.write_text(json.dumps(kept, indent=1) + "\n")
