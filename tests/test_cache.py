"""The cache between runs: finds what was stored, and is silent about everything else."""

from __future__ import annotations

import multiprocessing
import os
import random
from pathlib import Path

import pytest

from btfdbg import cache as module
from btfdbg.cache import Cache, CacheKey

KEY = CacheKey.of("ab" * 20, sizes=(1, 2), pages=(b"x" * 64,))


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(str(tmp_path / "cache" / "btfdbg"))


def only_file(cache: Cache) -> Path:
    assert cache.folder is not None
    (path,) = Path(cache.folder).iterdir()
    return path


def loaded(cache: Cache, key: CacheKey = KEY, kind: str = "k-1") -> bytes | None:
    data = cache.load(key, kind)
    return None if data is None else bytes(data)


def test_what_was_stored_is_found_again(cache: Cache) -> None:
    assert loaded(cache) is None
    assert cache.store(KEY, "k-1", b"payload")
    assert loaded(cache) == b"payload"
    assert loaded(cache, kind="k-2") is None
    assert cache.store(KEY, "k-1", b"")
    assert loaded(cache) == b""


@pytest.mark.parametrize(
    "other",
    [
        CacheKey.of("ac" * 20, sizes=(1, 2), pages=(b"x" * 64,)),
        CacheKey.of("ab" * 20, sizes=(1, 3), pages=(b"x" * 64,)),
        CacheKey.of("ab" * 20, sizes=(12,), pages=(b"x" * 64,)),
        CacheKey.of("ab" * 20, sizes=(1, 2), pages=(b"x" * 63 + b"y",)),
        CacheKey.of("ab" * 20, sizes=(1, 2), pages=(b"x" * 32, b"x" * 32)),
        CacheKey.of("", sizes=(1, 2), pages=(b"x" * 64,)),
    ],
)
def test_an_entry_belongs_to_its_key_only(cache: Cache, other: CacheKey) -> None:
    cache.store(KEY, "k-1", b"payload")
    assert loaded(cache, other) is None


def test_any_damaged_byte_makes_an_entry_unknown(cache: Cache) -> None:
    cache.store(KEY, "k-1", b"payload")
    path = only_file(cache)
    good = path.read_bytes()
    for at in range(len(good)):
        path.write_bytes(good[:at] + bytes([good[at] ^ 1]) + good[at + 1 :])
        assert loaded(cache) is None, at
        path.write_bytes(good[:at])
        assert loaded(cache) is None, at
    path.write_bytes(good + b"x")
    assert loaded(cache) is None
    path.write_bytes(good)
    assert loaded(cache) == b"payload"


def test_a_file_renamed_to_another_key_is_not_believed(cache: Cache) -> None:
    other = CacheKey.of("cd" * 20)
    cache.store(other, "k-1", b"other")
    path = only_file(cache)
    cache.store(KEY, "k-1", b"payload")
    (mine,) = (p for p in path.parent.iterdir() if p != path)
    path.rename(mine)
    assert loaded(cache) is None


def test_a_kind_is_no_path(cache: Cache) -> None:
    for kind in ("../k", "K", "", "k/1", "k" * 33):
        with pytest.raises(ValueError, match="small letters"):
            cache.store(KEY, kind, b"")


def test_links_and_pipes_are_not_followed(cache: Cache, tmp_path: Path) -> None:
    cache.store(KEY, "k-1", b"payload")
    path = only_file(cache)
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    assert loaded(cache) is None
    path.unlink()
    os.mkfifo(path)
    assert loaded(cache) is None
    assert cache.store(KEY, "k-1", b"again")
    assert loaded(cache) == b"again"


@pytest.mark.parametrize("mode", [0o777, 0o720, 0o702])
def test_a_folder_that_others_may_write_to_is_not_used(cache: Cache, mode: int) -> None:
    cache.store(KEY, "k-1", b"payload")
    assert cache.folder is not None
    os.chmod(cache.folder, mode)
    assert loaded(cache) is None
    assert not cache.store(KEY, "k-1", b"payload")


def test_a_folder_of_another_user_is_not_used(
    cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache.store(KEY, "k-1", b"payload")
    mine = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: mine + 1)
    assert loaded(cache) is None
    assert not cache.store(KEY, "k-1", b"payload")


def test_no_place_means_nothing_is_kept(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    for folder in (None, str(tmp_path / "file" / "btfdbg"), "/proc/btfdbg"):
        cache = Cache(folder)
        assert not cache.store(KEY, "k-1", b"payload")
        assert loaded(cache) is None
        cache.forget(KEY, "k-1")


def test_a_full_disk_leaves_no_file_behind(cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    cache.store(KEY, "k-1", b"payload")

    def full(fd: int, data: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    assert not cache.store(KEY, "k-1", b"new")
    assert only_file(cache).name.startswith("k-1-")
    assert loaded(cache) == b"payload"


def test_an_interrupt_leaves_no_file_behind(cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(fd: int, data: bytes) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "write", interrupted)
    with pytest.raises(KeyboardInterrupt):
        cache.store(KEY, "k-1", b"new")
    assert cache.folder is not None
    assert list(Path(cache.folder).iterdir()) == []


def test_the_longest_unused_entries_go_first(cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_TOTAL", 4096)
    keys = [CacheKey.of("", sizes=(i,)) for i in range(8)]
    for age, key in enumerate(keys):
        cache.store(key, "k-1", bytes(1000))
        assert cache.folder is not None
        for path in Path(cache.folder).iterdir():
            if path.stat().st_mtime > 1e9:  # the one just written
                os.utime(path, (age, age))
    assert [loaded(cache, key) is not None for key in keys] == [False] * 5 + [True] * 3


def test_a_use_keeps_an_entry_young(cache: Cache) -> None:
    cache.store(KEY, "k-1", b"payload")
    path = only_file(cache)
    os.utime(path, (1, 1))
    assert loaded(cache) == b"payload"
    assert path.stat().st_mtime > 1e9


def test_what_is_too_large_is_not_kept(cache: Cache) -> None:
    assert not cache.store(KEY, "k-1", bytes(module.MAX_ENTRY + 1))
    assert cache.store(KEY, "k-1", bytes(module.MAX_ENTRY))
    assert loaded(cache) == bytes(module.MAX_ENTRY)


def test_files_of_dead_processes_are_cleared_and_strangers_left(cache: Cache) -> None:
    cache.store(KEY, "k-1", b"payload")
    assert cache.folder is not None
    folder = Path(cache.folder)
    for name in (".new-1-dead", ".new-2-alive", "README"):
        (folder / name).write_bytes(b"")
    os.utime(folder / ".new-1-dead", (1, 1))
    cache.store(KEY, "k-1", b"payload")
    left = {p.name for p in folder.iterdir() if not p.name.startswith("k-1-")}
    assert left == {".new-2-alive", "README"}


def test_forgetting_drops_one_entry(cache: Cache) -> None:
    cache.store(KEY, "k-1", b"one")
    cache.store(KEY, "k-2", b"two")
    cache.forget(KEY, "k-1")
    assert loaded(cache) is None
    assert loaded(cache, kind="k-2") == b"two"


def test_the_folder_is_private_and_follows_xdg(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(module.NO_CACHE_VARIABLE, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    cache = Cache.default()
    assert cache.folder == str(tmp_path / "xdg" / "btfdbg")
    cache.store(KEY, "k-1", b"payload")
    assert os.stat(cache.folder).st_mode & 0o777 == 0o700
    assert only_file(cache).stat().st_mode & 0o777 == 0o600
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert Cache.default().folder == str(tmp_path / "home" / ".cache" / "btfdbg")


def test_it_can_be_switched_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(module.NO_CACHE_VARIABLE, "1")
    assert Cache.default().folder is None


def _store_often(folder: str, value: int) -> None:
    cache = Cache(folder)
    for _ in range(100):
        cache.store(KEY, "k-1", bytes([value]) * 50_000)


def test_runs_at_the_same_time_see_whole_entries(cache: Cache) -> None:
    assert cache.folder is not None
    context = multiprocessing.get_context("fork")
    writers = [context.Process(target=_store_often, args=(cache.folder, i)) for i in (1, 2)]
    for writer in writers:
        writer.start()
    seen = set()
    while any(writer.is_alive() for writer in writers):
        data = cache.load(KEY, "k-1")
        if data is not None:
            assert len(data) == 50_000
            seen.add(bytes(data[:1]) * 50_000 == bytes(data))
    for writer in writers:
        writer.join()
        assert writer.exitcode == 0
    assert seen == {True}
    assert only_file(cache)


# Entries that hold the very bytes that they are about.

SUBJECT = bytes(range(256)) * 3000  # more than one piece is compared at once


def found_of(cache: Cache, subject: bytes | memoryview = SUBJECT) -> bytes | None:
    data = cache.load_of(subject, KEY, "k-1")
    return None if data is None else bytes(data)


def test_what_is_known_of_bytes_is_found_for_those_alone(cache: Cache) -> None:
    assert found_of(cache) is None
    assert cache.store_of(SUBJECT, KEY, "k-1", b"payload")
    assert found_of(cache) == b"payload"
    assert found_of(cache, memoryview(SUBJECT)) == b"payload"
    for at in (0, module._PIECE - 1, module._PIECE, len(SUBJECT) - 1):
        other = bytearray(SUBJECT)
        other[at] ^= 1
        assert found_of(cache, bytes(other)) is None, at
    for other_bytes in (SUBJECT[:-1], SUBJECT[1:], SUBJECT + b"\0", b"", b"payload" + SUBJECT):
        assert found_of(cache, bytes(other_bytes)) is None
    assert found_of(cache) == b"payload"
    assert loaded(cache) is None  # one form is not taken for the other
    assert cache.store(KEY, "k-1", b"payload")
    assert found_of(cache) is None
    assert found_of(cache, b"") is None


def test_any_damaged_byte_makes_what_is_known_of_bytes_unknown(cache: Cache) -> None:
    subject = b"the subject"
    cache.store_of(subject, KEY, "k-1", b"payload")
    path = only_file(cache)
    good = path.read_bytes()
    for at in range(len(good)):
        for bad in (good[:at] + bytes([good[at] ^ 1]) + good[at + 1 :], good[:at]):
            path.write_bytes(bad)
            assert found_of(cache, subject) is None, at
    path.write_bytes(good + b"x")
    assert found_of(cache, subject) is None
    path.write_bytes(good)
    assert found_of(cache, subject) == b"payload"


def test_a_subject_counts_in_what_is_too_large(
    cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_ENTRY", 100)
    assert not cache.store_of(bytes(60), KEY, "k-1", bytes(41))
    assert cache.store_of(bytes(60), KEY, "k-1", bytes(40))
    assert found_of(cache, bytes(60)) == bytes(40)


def test_the_latest_answers_are_what_was_asked_last() -> None:
    rng = random.Random(20)
    for _ in range(300):
        limit = rng.randrange(1, 6)
        before = {number: -number for number in rng.sample(range(9), rng.randrange(limit + 1))}
        kept: module.Latest[int, int] = module.Latest(limit, dict(before))
        now: dict[int, int] = {}
        for _ in range(20):
            key = rng.randrange(9)
            if rng.randrange(2):
                found = kept.get(key)
                assert found == now.get(key, before.get(key))
                if found is not None:
                    before.pop(key, None)
                    now[key] = found
            else:
                before.pop(key, None)
                if key not in now and len(now) + len(before) == limit and before:
                    before.popitem()
                fits = key in now or len(now) + len(before) < limit
                assert kept.add(key, 100 + key) is fits
                if fits:
                    now[key] = 100 + key
            assert list(kept.items()) == [*now.items(), *before.items()]
        kept.clear()
        assert list(kept.items()) == []
