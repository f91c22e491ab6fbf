"""The compiled database: both ways, leaving kernels out, and damaged files."""

from __future__ import annotations

import os
import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from btfdbg.cache import Cache, CacheKey
from btfdbg.errors import DebugInfoError
from btfdbg.vardb.database import BUILTIN, Candidate, Database
from btfdbg.vardb.textdb import Entry, Kernel, TextDatabase, TrailingZeros

OLD = Kernel.of("5.10.0-46-cloud-amd64", "x86_64")
NEW = Kernel.of("7.2.13+deb14-cloud-amd64", "x86_64")


def _database() -> Database:
    both = frozenset({OLD.release, NEW.release})
    entries = [
        Entry("init_task", "", "struct task_struct", both),
        Entry("debug", "a", "int", both),
        Entry("debug", "b", "bool", frozenset({NEW.release})),
        Entry("one", "m", "int", both),
        Entry("one", "n", "int", both),
    ]
    entries += [Entry(f"dev_attr_{x}", "", "struct da", both) for x in "abcd"]
    entries += [Entry(f"new_{x}", "", "struct nw", frozenset({NEW.release})) for x in "abcd"]
    text = TextDatabase((OLD, NEW), entries)
    text.tails["char *"] = TrailingZeros(1, 9, 10)
    return Database.from_text(text)


def test_a_packed_database_says_the_same() -> None:
    before = _database()
    after = Database.unpack(before.pack(), "test")
    assert after.kernels == before.kernels == (OLD, NEW)
    assert after.tails == {"char *": TrailingZeros(1, 9, 10)}
    for name in ("init_task", "debug", "one", "dev_attr_a", "nothing"):
        assert after.candidates(name) == before.candidates(name)
    assert dict(after.families) == dict(before.families)
    assert "dev_*" in after.families


def test_modules_are_remembered_only_where_their_types_differ() -> None:
    database = _database()
    assert database.candidates("one") == (Candidate("int", "", 3),)
    assert {c.module for c in database.candidates("debug")} == {"a", "b"}


def test_a_kernel_left_out_leaves_no_names_and_no_families() -> None:
    left = _database().without(lambda kernel: kernel.series == "7.2")
    assert left.candidates("init_task") == (Candidate("struct task_struct", "", 1),)
    assert left.candidates("new_a") == ()
    assert "new_*" not in left.families
    assert "dev_*" in left.families


def test_the_shipped_database_is_whole_and_under_a_megabyte() -> None:
    assert os.stat(BUILTIN).st_size < 1_000_000
    database = Database.load()
    series = {kernel.series for kernel in database.kernels}
    assert {"5.10", "6.1", "6.12", "7.2"} <= series
    machines = {"x86_64", "aarch64", "s390x", "riscv64", "ppc64le"}
    assert {k.machine for k in database.kernels} == machines
    assert [c.type for c in database.candidates("init_task")] == ["struct task_struct"]


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda data: b"", "not a variable database"),
        (lambda data: b"hello" + data, "not a variable database"),
        (lambda data: data[:-1], "header says"),
        (lambda data: data[:8] + struct.pack("<I", 99) + data[12:], "version 99"),
        (lambda data: data[:-9] + b"\0" + data[-8:], "damaged"),
        (lambda data: data[:20] + b"\0\0\0\0" + data[24:], "checksum"),
        (lambda data: data[:12] + b"\xff\xff\xff\xff" + data[16:], "header says"),
    ],
)
def test_a_damaged_file_is_one_clear_error(damage: object, words: str) -> None:
    assert callable(damage)
    with pytest.raises(DebugInfoError, match=words):
        Database.unpack(damage(_database().pack()), "x.db")


def test_a_missing_file_is_an_error_with_its_name(tmp_path: Path) -> None:
    with pytest.raises(DebugInfoError, match=r"nope\.db"):
        Database.load(tmp_path / "nope.db")


def test_a_cached_database_is_the_one_of_the_file(tmp_path: Path) -> None:
    cache = Cache(str(tmp_path / "cache"))
    file = tmp_path / "x.db"
    file.write_bytes(_database().pack())
    first = Database.load(file, cache)
    (kept,) = (tmp_path / "cache").iterdir()
    second = Database.load(file, cache)
    assert first.candidates("debug") == second.candidates("debug") != ()

    # What is cached under the same key and is no database is dropped.
    size = file.stat().st_size
    key = CacheKey.of("", sizes=(size,), pages=(file.read_bytes()[:24],))
    assert cache.store(key, "variables-2", b"nonsense")
    assert Database.load(file, cache).candidates("debug") == first.candidates("debug")
    assert kept.read_bytes().find(b"nonsense") < 0

    # Another file is another entry.
    file.write_bytes(_database().without(lambda kernel: kernel == OLD).pack())
    assert len(Database.load(file, cache).candidates("debug")) == 2
    assert Database.load(file, cache).candidates("one") == (Candidate("int", "", 2),)


@given(st.binary(max_size=200), st.integers(0, 400))
def test_garbage_gives_only_its_own_error(garbage: bytes, at: int) -> None:
    data = _PACKED[:at] + garbage + _PACKED[at + len(garbage) :]
    try:
        Database.unpack(data, "x")
    except DebugInfoError:
        pass


_PACKED = _database().pack()
