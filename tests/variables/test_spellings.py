"""Integers are found as gcc spells them in BTF and as clang does."""

from __future__ import annotations

import pytest

from btfdbg.btf import Btf, Builder
from btfdbg.btf.format import IntEncoding
from btfdbg.cdecl import parse_type
from btfdbg.variables.structural_index import StructuralIndex

_SPELLINGS = {
    "long": ("long int", 8, True),
    "unsigned long": ("long unsigned int", 8, False),
    "long long": ("long long int", 8, True),
    "unsigned long long": ("long long unsigned int", 8, False),
    "short": ("short int", 2, True),
    "unsigned short": ("short unsigned int", 2, False),
    "unsigned __int128": ("__int128 unsigned", 16, False),
}


@pytest.mark.parametrize("compiler", ["clang", "gcc", "both"])
@pytest.mark.parametrize("name", _SPELLINGS)
def test_a_kernel_has_the_integer_however_its_compiler_spells_it(name: str, compiler: str) -> None:
    gcc, size, signed = _SPELLINGS[name]
    spelled = {"clang": [name], "gcc": [gcc], "both": [name, gcc]}[compiler]
    builder = Builder()
    for word in spelled:
        integer = builder.add_int(word, size, IntEncoding.SIGNED if signed else 0)
        builder.add_array(integer, integer, 3)
        builder.add_ptr(integer)
    index = StructuralIndex(Btf.parse(builder.build()))
    for text in (name, f"{name} *", f"{name} [3]"):
        assert len(index.ids(parse_type(text))) == len(spelled)
    assert not index.exists(parse_type("unsigned int"))
