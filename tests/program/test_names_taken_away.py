"""Each name that drgn looks up is taken away in turn: no answer changes without a word.

What was right before stays so, or is refused by a message that names what is missing. A dump
of its own, or several, may be asked: ``BTFDBG_EVERY_NAME=CORE:CORE``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import drgn
import pytest

import btfdbg
from btfdbg.btf.enumerators import NamedValue
from btfdbg.errors import RefusedError
from btfdbg.kallsyms import KallsymsTable, Sym
from btfdbg.kallsyms.choice import is_text
from btfdbg.kallsyms.listed import ListedTable
from btfdbg.patches.install import install_helpers
from btfdbg.program import finders
from btfdbg.variables import probed
from tests.program import drgn_names
from tests.program.drgn_questions import QUESTIONS
from tests.program.every_name import DUMPS

NAMES = drgn_names.VARIABLES + drgn_names.FUNCTIONS + drgn_names.SYMBOLS

# What is told in the place of a name: what drgn makes of it, or reads instead.
_SAID_AS = {
    "__start_init_stack": "THREAD_SIZE",
    "__start_init_task": "THREAD_SIZE",
    # Of three tasks' stacks, which init_task leads to.
    "init_task": "THREAD_SIZE",
    # The CPU that panicked is not known then; the prompt says so.
    "panic_cpu": "object absent",
    "init_pid_ns": "object absent",
    # drgn translates saved_command_line, and that page may be left out.
    "page_offset_base": "Excluded page",
}


# What a kernel whose kallsyms has functions only says otherwise: where it begins, and its BTF is.
_KEPT = frozenset(("_text", "_stext", "_etext", "_end", "__start_BTF", "__stop_BTF"))


class Answer(NamedTuple):
    is_error: bool
    text: str


class Asked(NamedTuple):
    """What each question was answered, and which names were looked up for it."""

    answers: dict[str, Answer]
    names: dict[str, set[str]]


def _ask(prog: drgn.Program, question: str) -> Answer:
    try:
        return Answer(False, repr(QUESTIONS[question](prog)))
    except Exception as e:
        return Answer(True, f"{type(e).__name__}: {e}")


@contextmanager
def _symbols(
    seen: Callable[[str], object], taken: str = "", *, data: bool = True
) -> Iterator[None]:
    """Tables of symbols that tell who asks, and have one name less, or none of variables."""
    with pytest.MonkeyPatch.context() as patch:
        for table in (KallsymsTable, ListedTable):

            def by_name(
                self: object, name: str, original: Callable[..., tuple[Sym, ...]] = table.by_name
            ) -> tuple[Sym, ...]:
                seen(name)
                found = () if name == taken else original(self, name)
                return found if data or name in _KEPT else tuple(s for s in found if is_text(s))

            patch.setattr(table, "by_name", by_name)
        yield


@pytest.fixture(scope="module", autouse=True)
def as_at_the_prompt() -> None:
    """With drgn's helpers as commands have them, whichever test ran before."""
    install_helpers()


@pytest.fixture(scope="module", params=DUMPS, ids=lambda path: path.stem)
def core(request: pytest.FixtureRequest) -> Path:
    return Path(request.param)


@pytest.fixture(scope="module")
def whole(core: Path) -> Asked:
    asked = Asked({}, {})
    for question in QUESTIONS:
        names: set[str] = set()
        with _symbols(names.add):
            asked.answers[question] = _ask(btfdbg.program_from_core_dump(core), question)
        asked.names[question] = names
    return asked


@pytest.mark.parametrize("name", NAMES)
def test_without_a_name_an_answer_is_the_same_or_says_what_is_missing(
    name: str, core: Path, whole: Asked
) -> None:
    questions = [question for question, names in whole.names.items() if name in names]
    if not questions:
        return  # no answer rests on it in this kernel
    told = name, _SAID_AS.get(name, name)
    with _symbols(lambda _: None, name):
        prog = btfdbg.program_from_core_dump(core)
        for question in questions:
            answer = _ask(prog, question)
            if answer == whole.answers[question]:
                continue
            notes = " ".join(note.what for note in btfdbg.session(prog).notes)
            # drgn swallows some errors while it unwinds, and leaves out modules.
            said = answer.text if answer.is_error else notes
            assert any(word in said for word in told), (question, answer)


def test_functions_only_change_no_answer_without_a_word(core: Path, whole: Asked) -> None:
    with _symbols(lambda _: None, data=False):
        prog = btfdbg.program_from_core_dump(core)
        answers = {question: _ask(prog, question) for question in QUESTIONS}
    different = {q for q, a in answers.items() if not a.is_error and a != whole.answers[q]}
    notes = " ".join(note.what for note in btfdbg.session(prog).notes)
    assert different <= {"modules"}
    assert "modules cannot be trusted here" in notes or not different
    assert any("cannot be trusted here" in answer.text for answer in answers.values())


def test_the_questions_ask_for_most_names(whole: Asked) -> None:
    """A question that fails at once shows nothing."""
    asked = set().union(*whole.names.values())
    assert len(asked & set(NAMES)) > 60
    assert sum(not answer.is_error for answer in whole.answers.values()) > len(QUESTIONS) // 3


@pytest.fixture(scope="module")
def doubted(core: Path) -> Iterator[drgn.Program]:
    """A Program in whose BTF no enumerator can be believed."""

    def doubt(btf: object, wanted: str, doubts: list[str]) -> tuple[NamedValue, ...]:
        doubts.append("its enum cannot be believed")
        return ()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(finders, "find_enumerators", doubt)
        yield btfdbg.program_from_core_dump(core)


@pytest.mark.parametrize("name", drgn_names.CONSTANTS)
def test_an_enumerator_that_cannot_be_believed_is_not_absent(
    name: str, doubted: drgn.Program
) -> None:
    """Of those from whose absence drgn concludes something; others are an error by that name."""
    expected = RefusedError if probed.is_constant(name) else KeyError
    with pytest.raises(expected, match=name):
        doubted[name]


def test_every_name_with_a_declaration_is_one_of_drgns() -> None:
    assert set(probed.DECLARATIONS) - set(drgn_names.VARIABLES) == set()
    assert set(drgn_names.FUNCTIONS) >= probed.FUNCTIONS
    assert set(drgn_names.SYMBOLS) >= probed.SYMBOLS | probed.TABLES
