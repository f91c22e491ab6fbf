"""Write ``tests/requirements.lock``: what the tests and checks run with in CI, to the byte.

    python -m tests.lock

Run it with the Python that CI has (Debian 12's 3.11, x86-64), in an environment with
pip: wheels differ between versions, so their digests do. pip resolves ``.[dev]`` as it
would install it, and says what it would take; that is written down. ``tests/run`` uses
the file where Python and machine are the same.
"""

from __future__ import annotations

import json
import platform
import subprocess
import sys
from pathlib import Path

LOCK = Path(__file__).with_name("requirements.lock")
# Besides the project's own: what builds its editable install without a download.
BUILD = ("hatchling", "editables")


def resolved() -> dict[str, tuple[str, str]]:
    """Name to version and SHA-256 of every distribution that pip would install."""
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--dry-run"]
    command += ["--ignore-installed", "--only-binary=:all:", "--report", "-", ".[dev]", *BUILD]
    report = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    found = {}
    for item in report["install"]:
        archive = item["download_info"].get("archive_info")
        if archive is None:
            continue  # the project itself
        metadata = item["metadata"]
        found[metadata["name"].lower()] = (metadata["version"], archive["hashes"]["sha256"])
    return found


def main() -> int:
    """Write the file."""
    lines = [
        "# Made by `python -m tests.lock`; used by tests/run on the same Python and machine.",
        f"# {platform.python_implementation()} {platform.python_version()} {platform.machine()}",
    ]
    for name, (version, digest) in sorted(resolved().items()):
        lines += [f"{name}=={version} \\", f"    --hash=sha256:{digest}"]
    LOCK.write_text("\n".join(lines) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
