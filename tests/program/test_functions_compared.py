"""Functions that drgn compares with a pointer have the type that the pointer's target has."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

import pytest

import btfdbg
from btfdbg.btf import Btf, TypeId
from btfdbg.kallsyms.choice import own_ids
from btfdbg.program import finders
from btfdbg.variables import probed


@pytest.mark.parametrize("name", probed.POINTED_AT)
def test_a_function_without_prototype_is_as_the_member_that_points_to_such(
    name: str, x86_core: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prog = btfdbg.program_from_core_dump(x86_core)
    known = prog.function(name)

    def without_it(btf: Btf, asked: str, kinds: Collection[int]) -> Sequence[TypeId]:
        return () if asked == name else own_ids(btf, asked, kinds)

    monkeypatch.setattr(finders, "own_ids", without_it)
    other = btfdbg.program_from_core_dump(x86_core).function(name)
    assert other.address_ == known.address_
    assert [p.type.type_name() for p in other.type_.parameters] == [
        p.type.type_name() for p in known.type_.parameters
    ]
    assert other.type_.type.type_name() == known.type_.type.type_name()
