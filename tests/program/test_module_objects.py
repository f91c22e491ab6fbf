"""What is asked of modules is asked of the module concerned, and not of all of them."""

from __future__ import annotations

from collections.abc import Callable

import pytest

import btfdbg
from btfdbg.btf import Btf
from btfdbg.program import module_objects
from btfdbg.program.modules import ModuleBtfs
from btfdbg.program.session import Session
from tests.repl.support import dump_path


@pytest.fixture
def session(monkeypatch: pytest.MonkeyPatch) -> Session:
    """Of a dump with many modules, in which the BTF of all of them must not be asked for."""

    def index(self: ModuleBtfs) -> None:
        raise AssertionError("the BTF of all modules was asked for")

    monkeypatch.setattr(ModuleBtfs, "index", index)
    return btfdbg.session(btfdbg.program_from_core_dump(dump_path("x86_64")))


def _notes(session: Session) -> str:
    return "; ".join(map(str, session.notes))


@pytest.mark.parametrize("name", ["union thread_union", "freelist_idx_t"])
def test_a_type_of_the_kernels_own_code_is_no_modules(session: Session, name: str) -> None:
    with pytest.raises(LookupError):
        session.prog.type(name)
    assert "was asked for" not in _notes(session)


def test_how_large_a_stack_is_takes_no_modules_btf(session: Session) -> None:
    assert int(session.prog["THREAD_SIZE"]) == 16384
    assert "was asked for" not in _notes(session)


def test_a_name_that_is_a_symbol_of_modules_is_no_others_enumerator(session: Session) -> None:
    objects = session.module_objects
    assert objects is not None
    assert len(objects.symbols_of("__this_module")) > 1
    assert "__this_module" not in session.prog
    assert "was asked for" not in _notes(session)
    assert "no_such_name_of_a_module" not in session.prog  # this one has to be looked for
    assert "was asked for" in _notes(session)


def test_types_of_a_modules_variable_are_its_own_or_the_kernels(session: Session) -> None:
    objects, btfs = session.module_objects, session.module_btfs
    assert objects is not None
    assert btfs is not None
    name = next(name for name in session.modules if btfs.converter(name) is not None)
    find = objects._type_finder(name)
    assert find("struct list_head").type_name() == "struct list_head"
    assert find("unsigned int").type_name() == "unsigned int"
    with pytest.raises(LookupError):
        find("struct no_such_type_of_a_module")
    assert "was asked for" not in _notes(session)


def test_a_modules_arrays_of_parameters_are_known_by_the_kernels_operations(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int | None] = []

    def read(
        btf: Btf, read: object, address_of: Callable[[str], int | None], at: object
    ) -> dict[int, object]:
        names = ("__start___param", "__stop___param", "param_array_ops", "no_such_symbol")
        asked.extend(map(address_of, names))
        return {}

    monkeypatch.setattr(module_objects, "read_parameters", read)
    objects = session.module_objects
    assert objects is not None
    session.ensure_modules()
    objects._parameters(session.loaded[0].name)
    (of_arrays,) = session.lookup_symbols("param_array_ops")
    kernels = {s.address for n in ("__start___param", "__stop___param")
               for s in session.lookup_symbols(n)}  # fmt: skip
    assert len(asked) == 4
    assert kernels.isdisjoint(asked)
    assert asked[2:] == [of_arrays.address, None]
