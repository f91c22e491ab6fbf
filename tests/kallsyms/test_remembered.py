"""Where the tables of a kernel are is remembered by its build id, and proved again."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest

from btfdbg.cache import Cache, CacheKey
from btfdbg.kallsyms import load
from btfdbg.kallsyms.find_kallsyms import _PLACE_KIND
from btfdbg.vmcore.vmcoreinfo import VmcoreInfo

from .encoder import STYLES, Image, make_image, some_symbols

BUILD_ID = "e0c94673e97d58a386e99a20572aa7d597d5aa5c"


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(str(tmp_path / "cache"))


def image_of(kind: str = "5.10 x86", seed: int = 1) -> Image:
    style = STYLES[kind]
    return make_image(some_symbols(Random(seed), 3000, style), style)


def opened(image: Image, cache: Cache, build_id: str = BUILD_ID) -> int:
    """How many bytes it took to find the tables."""
    text = image.vmcoreinfo(pointers=False)
    if build_id:
        text += f"BUILD-ID={build_id}\n".encode()
    before = image.bytes_read
    table = load(
        image.read,
        VmcoreInfo.parse(text),
        image.style.byteorder,
        ranges=[(image.base, image.end)],
        cache=cache,
    )
    assert table.by_name("init_uts_ns")
    return image.bytes_read - before


@pytest.mark.parametrize("kind", STYLES)
def test_the_second_time_the_search_is_short(kind: str, cache: Cache) -> None:
    image = image_of(kind)
    cold = opened(image, cache)
    warm = opened(image, cache)
    assert warm < cold


def test_another_kernel_under_the_same_build_id_is_still_found(cache: Cache) -> None:
    opened(image_of(seed=1), cache)
    other = image_of(seed=2)
    assert opened(other, cache)
    assert opened(other, cache)


@pytest.mark.parametrize(
    "distance", [b"", b"x", (1 << 30).to_bytes(8, "little"), b"\0" * 7 + b"\x80"]
)
def test_a_wrong_place_costs_a_search_and_nothing_else(distance: bytes, cache: Cache) -> None:
    assert cache.store(CacheKey.of(BUILD_ID), _PLACE_KIND, distance)
    image = image_of()
    cold = opened(image, cache)
    assert opened(image, cache) < cold


def test_without_a_build_id_nothing_is_kept(cache: Cache, tmp_path: Path) -> None:
    opened(image_of(), cache, build_id="")
    assert not (tmp_path / "cache").exists()
