"""Our dataclasses are dataclasses in everything that the project does with them."""

from __future__ import annotations

import copy
import dataclasses
import pickle
import subprocess
import sys
from typing import Any, ClassVar

import pytest

from btfdbg import lazy_dataclass as record


@record.dataclass(frozen=True, slots=True)
class Ours:
    """Doc."""

    kind: ClassVar[int] = 7
    name: str
    size: int = 4

    @property
    def both(self) -> str:
        return f"{self.name}{self.size}"


@record.dataclass(frozen=True, slots=True)
class OursMore(Ours):
    kind: ClassVar[int] = 8
    size: int = 5
    extra: tuple[int, ...] = ()


@record.dataclass(slots=True)
class OursMutable:
    name: str
    found: list[int] = record.field(default_factory=list)


@dataclasses.dataclass(frozen=True, slots=True)
class Theirs:
    """Doc."""

    kind: ClassVar[int] = 7
    name: str
    size: int = 4


@dataclasses.dataclass(frozen=True, slots=True)
class TheirsMore(Theirs):
    kind: ClassVar[int] = 8
    size: int = 5
    extra: tuple[int, ...] = ()


PAIRS: list[tuple[Any, Any]] = [(Ours, Theirs), (OursMore, TheirsMore)]


@pytest.mark.parametrize(("ours", "theirs"), PAIRS)
def test_objects_are_made_and_shown_alike(ours: Any, theirs: Any) -> None:
    for _ in range(40):  # the first few are made in another way
        _check_objects(ours, theirs)


def _check_objects(ours: Any, theirs: Any) -> None:
    right: list[tuple[tuple[Any, ...], dict[str, Any]]] = [
        (("a",), {}),
        (("a", 2), {}),
        ((), {"size": 3, "name": "b"}),
    ]
    for args, kwargs in right:
        a, b = ours(*args, **kwargs), theirs(*args, **kwargs)
        assert repr(a).replace("Ours", "Theirs") == repr(b)
        assert dataclasses.asdict(a) == dataclasses.asdict(b)
        assert dataclasses.astuple(a) == dataclasses.astuple(b)
        assert a.kind == b.kind
    wrong: list[tuple[tuple[Any, ...], dict[str, Any]]] = [
        ((), {}),
        (("a", 1, 2, 3), {}),
        (("a",), {"nope": 1}),
    ]
    for args, kwargs in wrong:
        for cls in (ours, theirs):
            with pytest.raises(TypeError):
                cls(*args, **kwargs)


@pytest.mark.parametrize("cls", [Ours, Theirs])
def test_equality_and_hash_go_by_class_and_fields(cls: Any) -> None:
    assert cls("a", 1) == cls("a", 1) != cls("a", 2)
    assert hash(cls("a", 1)) == hash(cls("a", 1))
    assert len({cls("a", 1), cls("a", 1), cls("b", 1)}) == 2
    assert cls("a", 1) != ("a", 1)
    assert Ours("a", 1) != OursMore("a", 1)


@pytest.mark.parametrize("cls", [Ours, OursMore])
def test_frozen_objects_stay_as_they_are(cls: Any) -> None:
    value = cls("a")
    for name in ("name", "other"):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(value, name, 1)
    with pytest.raises(dataclasses.FrozenInstanceError):
        del value.name
    assert value == cls("a")
    assert not hasattr(value, "__dict__")


@pytest.mark.parametrize(("cls", "twin"), PAIRS)
def test_the_standard_module_knows_the_fields(cls: Any, twin: Any) -> None:
    known: bool = dataclasses.is_dataclass(cls)
    assert known
    assert [(f.name, f.default) for f in dataclasses.fields(cls)] == [
        (f.name, f.default) for f in dataclasses.fields(twin)
    ]
    assert dataclasses.replace(cls("a"), size=9) == cls("a", 9)
    assert record.replace(cls("a"), size=9) == cls("a", 9)
    assert cls.__match_args__ == twin.__match_args__


def test_the_standard_module_can_build_on_ours() -> None:
    @dataclasses.dataclass(frozen=True)
    class Built(Ours):
        more: int = 3

    assert dataclasses.astuple(Built("a")) == ("a", 4, 3)


@pytest.mark.parametrize("value", [Ours("a"), OursMore("b", extra=(1,)), OursMutable("c", [1])])
def test_objects_are_copied_and_pickled(value: Any) -> None:
    assert copy.copy(value) == copy.deepcopy(value) == pickle.loads(pickle.dumps(value)) == value


def test_each_object_has_its_own_default() -> None:
    first, second = OursMutable("a"), OursMutable("b")
    first.found.append(1)
    assert (first.found, second.found) == ([1], [])
    first.name = "c"
    assert first == OursMutable("c", [1])
    with pytest.raises(TypeError, match="unhashable"):
        hash(first)


def test_a_field_may_stay_out_of_comparison_and_repr() -> None:
    @record.dataclass(frozen=True, slots=True)
    class Found:
        name: str
        memory: bytes | None = record.field(default=None, compare=False, repr=False)

    assert Found("a", b"1") == Found("a")
    assert hash(Found("a", b"1")) == hash(Found("a"))
    assert repr(Found("a", b"1")).endswith("Found(name='a')")
    assert [f.compare for f in dataclasses.fields(Found)] == [True, False]


def test_properties_docstrings_and_slots_are_kept() -> None:
    assert Ours("a").both == "a4"
    assert Ours.__doc__ == "Doc."
    assert OursMore("x", 1).both == "x1"
    with pytest.raises(AttributeError):
        OursMutable("a").other = 1  # type: ignore[attr-defined] # has no such slot


def test_making_a_class_imports_no_dataclasses() -> None:
    code = (
        "import sys\nfrom btfdbg.lazy_dataclass import dataclass\n"
        "@dataclass(frozen=True, slots=True)\nclass A:\n    x: int\n"
        "assert A(1) == A(x=1)\nprint('dataclasses' in sys.modules)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.stdout == "False\n", result.stderr
