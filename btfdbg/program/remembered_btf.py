"""A kernel's BTF, with what earlier runs found out about the same bytes.

Owns what of it is kept in the cache and when: where its records are, once; the types of the
names that were asked for, when the blob is dropped or the process ends. Both belong to the
bytes themselves and not to a build id, which a dump may lie about: the index is found only
where all bytes are the same (:meth:`btfdbg.cache.Cache.load_of`), and has a random token that
the names are kept under.

Measured with 6.12's, 108,447 types: 9 ms instead of 25 for the BTF of a first object, and
5 instead of 35 for its names.
"""

from __future__ import annotations

import os

from btfdbg.btf import Btf
from btfdbg.btf.known import KnownNames, RecordIndex
from btfdbg.cache import Cache, CacheKey

_INDEX = "btf-index-1"
_NAMES = "btf-names-2"
_TOKEN = 16


def parse(data: bytes, build_id: str, cache: Cache | None = None) -> Btf:
    """
    As :meth:`btfdbg.btf.Btf.parse`.

    :param data: BTF without a base.
    :param build_id: What the dump says; only finds the entry.
    :param cache: The user's by default.
    :raises BtfFormatError: the data is malformed.
    """
    cache = Cache.default() if cache is None else cache
    if cache.folder is None:
        return Btf.parse(data)
    key = CacheKey.of(build_id, sizes=(len(data),))
    kept = cache.load_of(data, key, _INDEX)
    index = None if kept is None else RecordIndex.unpack(memoryview(kept)[_TOKEN:])
    btf = Btf.parse(data, index=index)
    if kept is not None and index is not None:
        token = kept[:_TOKEN]
    else:
        token = os.urandom(_TOKEN)
        if not cache.store_of(data, key, _INDEX, token + RecordIndex.pack(btf)):
            return btf
    _remember_names(btf, cache, CacheKey.of("", pages=(token,)))
    return btf


def _remember_names(btf: Btf, cache: Cache, key: CacheKey) -> None:
    kept = cache.load(key, _NAMES)
    btf.known_names = KnownNames() if kept is None else KnownNames.unpack(kept)
    cache.store_in_the_end(btf, key, _NAMES, btf.known_names)
