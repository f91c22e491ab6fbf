"""What the slab allocator says of a pointer, in words."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace

import drgn
import pytest

from btfdbg.frames.slab_state import slab_state

OBJECT = 0xFFFF_8880_0123_4000
SIZE = 96
_WITH_LINK = b"\x6b" * 48 + bytes(8) + b"\x6b" * 40


def _info(allocated: bool | None) -> SimpleNamespace:
    name = SimpleNamespace(string_=lambda: b"kmalloc-96")
    cache = SimpleNamespace(name=name, object_size=SIZE)
    return SimpleNamespace(slab_cache=cache, address=OBJECT, allocated=allocated)


def _says(
    monkeypatch: pytest.MonkeyPatch,
    allocated: bool | None,
    data: bytes | None,
    offset: int = 0,
) -> str:
    monkeypatch.setattr(
        "drgn.helpers.linux.slab.slab_object_info", lambda prog, address: _info(allocated)
    )
    read: Callable[[int, int], bytes | None] = lambda address, size: data and data[:size]  # noqa: E731
    return slab_state(drgn.Program(), read, OBJECT + offset)


@pytest.mark.parametrize(
    ("allocated", "data", "words"),
    [
        (True, bytes(SIZE), "allocated in slab kmalloc-96"),
        (False, bytes(SIZE), "free in slab kmalloc-96"),
        (False, b"\x6b" * (SIZE - 1) + b"\xa5", "free in slab kmalloc-96, poisoned as freed"),
        (False, _WITH_LINK, "free in slab kmalloc-96, poisoned as freed"),
        (True, b"\x5a" * SIZE, "allocated in slab kmalloc-96, poisoned as never written"),
        (True, b"\x6b" * 20 + bytes(76), "allocated in slab kmalloc-96"),
        (None, None, "in slab kmalloc-96, whose list of free objects is damaged"),
    ],
)
def test_an_object_is_allocated_or_free_and_poisoned_where_most_of_it_is(
    monkeypatch: pytest.MonkeyPatch, allocated: bool | None, data: bytes | None, words: str
) -> None:
    assert _says(monkeypatch, allocated, data, 0x10) == words


def test_what_is_behind_an_object_is_not_in_it(monkeypatch: pytest.MonkeyPatch) -> None:
    said = _says(monkeypatch, True, bytes(SIZE), SIZE)
    assert said == "allocated in slab kmalloc-96, outside of the 96 bytes of an object"


@pytest.mark.parametrize("error", [drgn.FaultError("x", 0), LookupError("x"), ValueError("x")])
def test_damaged_metadata_says_nothing(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def fails(prog: object, address: int) -> None:
        raise error

    monkeypatch.setattr("drgn.helpers.linux.slab.slab_object_info", fails)
    assert slab_state(drgn.Program(), lambda address, size: None, OBJECT) == ""


def test_a_users_address_is_in_no_slab() -> None:
    assert slab_state(drgn.Program(), lambda address, size: None, 0x7FFF_0000_0000) == ""
