"""The machine's apt sources, read in both notations."""

from __future__ import annotations

from pathlib import Path

import pytest

from corefiles.run import BuildError
from corefiles.sources import choose, machine_mirror, parse_deb822, parse_one_line

DEB822 = """\
# a comment
Types: deb deb-src
URIs: http://mirror.example/debian/
Suites: bookworm
 bookworm-updates
Components: main contrib
Signed-By: /keys/debian.gpg

Types: deb
URIs: http://mirror.example/debian-security
Suites: bookworm-security
Components: main

Types: deb
Enabled: no
URIs: http://off.example/debian
Suites: bookworm
Components: main
"""


def test_deb822_stanzas_give_main_and_security() -> None:
    mirror = choose(parse_deb822(DEB822))
    assert mirror.main == "http://mirror.example/debian"
    assert mirror.security == "http://mirror.example/debian-security"
    assert mirror.keyring == "/keys/debian.gpg"


def test_one_line_entries_with_options_are_read() -> None:
    entries = parse_one_line(
        "deb [arch=amd64 signed-by=/keys/d.gpg] http://m.example/debian bookworm main # x\n"
        "# deb http://no.example/debian bookworm main\n"
        "deb-src http://src.example/debian bookworm main\n"
        "deb http://m.example/security bookworm-security main\n"
    )
    assert [entry.uris[0] for entry in entries] == [
        "http://m.example/debian",
        "http://m.example/security",
    ]
    mirror = choose(entries)
    assert mirror.keyring == "/keys/d.gpg"
    assert mirror.lines("trixie") == [
        "deb [signed-by=/keys/d.gpg] http://m.example/debian trixie main",
        "deb [signed-by=/keys/d.gpg] http://m.example/security trixie-security main",
    ]


def test_sid_has_no_security_archive() -> None:
    mirror = choose(parse_deb822(DEB822))
    assert len(mirror.lines("sid")) == 1


def test_backports_and_experimental_come_with_the_suite_below() -> None:
    mirror = choose(parse_deb822(DEB822))
    suites = [line.split()[3] for line in mirror.lines("trixie-backports")]
    assert suites == ["trixie", "trixie-backports", "trixie-security"]
    assert [line.split()[3] for line in mirror.lines("experimental")] == ["sid", "experimental"]


def test_third_party_sources_are_not_debian() -> None:
    text = (
        "deb https://packages.example/apt cloud-bookworm main\n"
        "deb https://node.example/node nodistro main\n"
        "deb https://other.example/x bookworm stable\n"
    )
    with pytest.raises(BuildError, match="no Debian archive"):
        choose(parse_one_line(text))


def test_a_key_written_into_the_stanza_is_no_file_name() -> None:
    text = DEB822.replace("/keys/debian.gpg", "-----BEGIN PGP\n .\n xyz")
    assert "BEGIN" not in choose(parse_deb822(text)).keyring


def test_both_notations_of_a_machine_are_read(tmp_path: Path) -> None:
    (tmp_path / "sources.list.d").mkdir()
    (tmp_path / "sources.list").write_text("# nothing here\n")
    (tmp_path / "sources.list.d" / "debian.sources").write_text(DEB822)
    (tmp_path / "sources.list.d" / "old.list.save").write_text("deb http://no sid main\n")
    assert machine_mirror(tmp_path).main == "http://mirror.example/debian"
