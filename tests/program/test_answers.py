"""Remembered answers are the ones that would be given anew."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from itertools import islice
from pathlib import Path

import drgn
import pytest

import btfdbg
from btfdbg.btf import Builder, Kind, kinds
from btfdbg.errors import RefusedError
from btfdbg.kallsyms import Sym
from btfdbg.program import answers as answers_module
from btfdbg.program.answers import Answers
from btfdbg.program.attach import register
from btfdbg.program.session import Session
from btfdbg.vmcore.open import open_core
from tests.conftest import bundled_dumps
from tests.program.every_name import DUMPS, IS_EVERY_NAME
from tests.program.support import Kernel

BUNDLED = [path for path, _ in bundled_dumps()]
IDS = [path.name for path in DUMPS]
# Every name takes minutes of CPU; without the variable a fortieth of them is asked.
STEP = 1 if IS_EVERY_NAME else 40
ANY = drgn.FindObjectFlags.ANY
STRUCT = (drgn.TypeKind.STRUCT,)
KINDS = (
    STRUCT,
    (drgn.TypeKind.UNION,),
    (drgn.TypeKind.ENUM,),
    (drgn.TypeKind.TYPEDEF,),
    (drgn.TypeKind.INT, drgn.TypeKind.BOOL, drgn.TypeKind.FLOAT),
)


class Counting:
    """A type finder that knows one name and counts what it is asked."""

    def __init__(self, answers: Answers, prog: drgn.Program) -> None:
        self.asked: list[str] = []
        self.known = {"there": prog.struct_type("there", 4, ())}
        self.find = answers.of_types(self._find)

    def _find(
        self,
        prog: drgn.Program,
        kinds: Collection[drgn.TypeKind],
        name: str,
        filename: str | None,
    ) -> drgn.Type | None:
        self.asked.append(name)
        return self.known.get(name)


@pytest.fixture
def prog() -> drgn.Program:
    return drgn.Program(drgn.Platform(drgn.Architecture.X86_64))


def test_an_answer_and_a_miss_are_asked_once(prog: drgn.Program) -> None:
    finder = Counting(Answers(), prog)
    for _ in range(3):
        assert finder.find(prog, STRUCT, "there", None) is finder.known["there"]
        assert finder.find(prog, STRUCT, "absent", None) is None
    assert finder.asked == ["there", "absent"]


def test_kinds_names_and_files_are_different_questions(prog: drgn.Program) -> None:
    finder = Counting(Answers(), prog)
    finder.find(prog, STRUCT, "there", None)
    finder.find(prog, (drgn.TypeKind.UNION,), "there", None)
    finder.find(prog, STRUCT, "there", "ext4")
    assert len(finder.asked) == 3


def test_nothing_is_kept_while_a_list_is_read_and_all_is_forgotten_after_it(
    prog: drgn.Program,
) -> None:
    answers = Answers()
    finder = Counting(answers, prog)
    finder.find(prog, STRUCT, "late", None)
    with answers.unfinished():
        finder.find(prog, STRUCT, "late", None)
        finder.find(prog, STRUCT, "other", None)
        finder.find(prog, STRUCT, "other", None)
    finder.known["late"] = late = prog.struct_type("late", 8, ())
    assert finder.find(prog, STRUCT, "late", None) is late
    assert finder.asked == ["late", "other", "other", "late"]


def test_what_was_missing_when_the_list_was_read_by_the_question_itself_is_asked_again(
    prog: drgn.Program,
) -> None:
    answers = Answers()
    asked = []

    def find(
        prog: drgn.Program, name: str, flags: drgn.FindObjectFlags, filename: str | None
    ) -> None:
        asked.append(name)
        if len(asked) == 1:
            with answers.unfinished():
                pass

    finder = answers.of_objects(find)
    for _ in range(4):
        finder(prog, "x", ANY, None)
    assert asked == ["x", "x"]


def test_an_answer_that_a_failure_shaped_is_not_kept(prog: drgn.Program) -> None:
    answers = Answers()
    asked = []

    def find(
        prog: drgn.Program, name: str, flags: drgn.FindObjectFlags, filename: str | None
    ) -> None:
        asked.append(name)
        if name == "refused":
            raise RefusedError("no", step="objects")
        answers.doubt()

    finder = answers.of_objects(find)
    for _ in range(2):
        finder(prog, "doubtful", ANY, None)
        with pytest.raises(RefusedError):
            finder(prog, "refused", ANY, None)
    assert asked == ["doubtful", "refused"] * 2


def test_someone_who_is_busy_lets_nothing_be_kept(prog: drgn.Program) -> None:
    answers = Answers()
    busy = [True]
    answers.watch(lambda: busy[0])
    finder = Counting(answers, prog)
    finder.find(prog, STRUCT, "absent", None)
    busy[0] = False
    for _ in range(2):
        finder.find(prog, STRUCT, "absent", None)
    assert finder.asked == ["absent", "absent"]


def test_answers_are_bounded(prog: drgn.Program, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answers_module, "MAX_ANSWERS", 10)
    answers = Answers()
    finder = Counting(answers, prog)
    for number in range(1000):
        finder.find(prog, STRUCT, f"name{number}", None)
        assert len(answers._types) <= 10
    finder.find(prog, STRUCT, "n" * 10_000, None)
    finder.find(prog, STRUCT, "n" * 10_000, None)
    assert len(finder.asked) == 1002


def test_a_name_is_asked_anew_of_finders_that_are_registered_later() -> None:
    builder = Builder()
    builder.add_int("int", 4)
    kernel = Kernel(builder, Sym("late", 0xFFFF800000001000, 8, "D"))
    prog = kernel.prog
    assert "nowhere" not in prog
    with pytest.raises(LookupError):
        prog.type("struct nowhere")
    made = prog.struct_type("nowhere", 4, ())

    def find_made(
        prog: drgn.Program,
        kinds: Collection[drgn.TypeKind],
        name: str,
        filename: str | None,
    ) -> drgn.Type | None:
        return made if name == "nowhere" else None

    prog.register_type_finder("user", find_made, enable_index=-1)
    prog.register_object_finder(
        "user", lambda prog, *_: drgn.Object(prog, "int", 7), enable_index=-1
    )
    assert prog.type("struct nowhere").size == 4
    assert prog["nowhere"].value_() == 7


# Every name of a kernel


def described(found: drgn.Object | drgn.Type | str | None) -> object:
    """What can be compared of an answer; a Type is the same object where it is the same type."""
    if isinstance(found, drgn.Object):
        value = None if found.address_ is not None or found.absent_ else found.value_()
        return found.address_, found.type_.type_name(), value, found.absent_
    return found


def asked(session: Session, name: str, module: str | None = None) -> object:
    """What the object finder itself says, without remembering."""
    assert session.finders is not None
    try:
        return described(session.finders.find_object(session.prog, name, ANY, module))
    except RefusedError as e:
        return str(e)


def remembered(session: Session, name: str, module: str | None = None) -> object:
    """What drgn is told, by what is registered with it."""
    assert session.finders is not None
    find = session.answers.of_objects(session.finders.find_object)
    try:
        return described(find(session.prog, name, ANY, module))
    except RefusedError as e:
        return str(e)


def names_of_objects(session: Session) -> Iterator[str]:
    """Names of all symbols and enumerators of the kernel and its modules."""
    assert session.symbols is not None
    assert session.module_symbols is not None
    yield from session.symbols.names()
    yield from (sym.name for sym in session.module_symbols)
    for btf in (session.vmlinux, *session.modules.values()):
        for type_id in btf.own_ids():
            if btf.kind_of(type_id) in (Kind.ENUM, Kind.ENUM64):
                found = btf.type_by_id(type_id)
                assert isinstance(found, (kinds.Enum, kinds.Enum64))
                yield from (value.name for value in found.values)


def types_of(session: Session) -> Iterator[tuple[tuple[drgn.TypeKind, ...], str]]:
    for btf in (session.vmlinux, *session.modules.values()):
        for type_id in btf.own_ids():
            name = btf.name_of(type_id)
            if name:
                yield from ((of, name) for of in KINDS)


def fresh(path: Path) -> Session:
    prog, info = open_core(path)
    return register(prog, None, info)


@pytest.mark.parametrize("path", DUMPS, ids=IDS)
def test_every_name_of_a_kernel_has_the_answer_that_is_given_anew(path: Path) -> None:
    session = fresh(path)
    session.reads_code = False  # 10 ms for each name that nothing types
    names = list(dict.fromkeys(names_of_objects(session)))
    assert len(names) > 90_000
    names = names[::STEP]
    names += [f"{name}_not" for name in names[::10]]
    different = []
    step = answers_module.MAX_ANSWERS // 2
    for start in range(0, len(names), step):
        part = names[start : start + step]
        before = [remembered(session, name) for name in part]
        # Asked a second time, after thousands of others, it comes from memory.
        for name, was in zip(part, before, strict=True):
            if not was == remembered(session, name) == asked(session, name):
                different.append(name)
    assert not different


@pytest.mark.parametrize("path", DUMPS, ids=IDS)
def test_every_type_of_a_kernel_has_the_answer_that_is_given_anew(path: Path) -> None:
    session = fresh(path)
    assert session.finders is not None
    find = session.answers.of_types(session.finders.find_type)
    anew = session.finders.find_type
    questions = list(dict.fromkeys(types_of(session)))
    assert len(questions) > 50_000
    questions = questions[::STEP]
    different = []
    step = answers_module.MAX_ANSWERS // 2
    for start in range(0, len(questions), step):
        part = questions[start : start + step]
        before = [find(session.prog, of, name, None) for of, name in part]
        for (of, name), was in zip(part, before, strict=True):
            known = find(session.prog, of, name, None)
            if not was is known is anew(session.prog, of, name, None):
                different.append((of, name))
    assert not different


def test_what_modules_add_is_found_after_it_was_missed() -> None:
    path = next(p for p in BUNDLED if "6.12-amd64" in p.name)
    known = btfdbg.session(btfdbg.program_from_core_dump(path))
    assert known.module_symbols is not None
    own = set(known.module_names())
    module = sorted(own & set(known.modules))[0]
    kernel = {known.vmlinux.name_of(i) for i in known.vmlinux.own_ids()}
    types = [
        name
        for i in known.modules[module].own_ids()
        if (name := known.modules[module].name_of(i)) and name not in kernel
    ]
    objects = [s.name for s in known.module_symbols if not known.lookup_symbols(s.name)]
    session = fresh(path)
    missed = []
    # As it is while drgn reads the list of modules: nothing of theirs is there yet.
    with session.answers.unfinished():
        session.modules_created = True
        btfs, session.module_btfs = session.module_btfs, None
        symbols, session.module_objects = session.module_objects, None
        missed = [n for n in objects[::50] if remembered(session, n) is None]
        assert len(missed) == len(objects[::50])
        for name in types[::5]:
            with pytest.raises(LookupError):
                session.prog.type(f"struct {name}")
        session.module_btfs, session.module_objects = btfs, symbols
        session.modules_created = False
    for name in objects[::50]:
        assert remembered(session, name) == remembered(known, name), name
    for name in types[::5]:
        for word in ("struct", "union", "enum"):
            assert _exists(session, f"{word} {name}") == _exists(known, f"{word} {name}"), name


def _exists(session: Session, name: str) -> bool:
    try:
        session.prog.type(name)
    except LookupError:
        return False
    return True


def test_answers_are_the_same_whether_modules_were_made_before_or_after() -> None:
    path = next(p for p in BUNDLED if "6.12-amd64" in p.name)
    early, late = fresh(path), fresh(path)
    early.reads_code = late.reads_code = False  # 10 ms for each name that nothing types
    early.ensure_modules()
    assert early.module_symbols is not None
    names = [s.name for s in islice(early.module_symbols, 0, None, 100)]
    before = [remembered(late, name) for name in names]
    late.ensure_modules()
    assert before == [remembered(late, name) for name in names]
    assert before == [remembered(early, name) for name in names]
