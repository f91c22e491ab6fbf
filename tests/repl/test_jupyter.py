"""drgn's values in IPython look as at the prompt."""

from __future__ import annotations

import drgn
import pytest
from drgn import Object, Program, TypeMember

from btfdbg.program.session import Session
from btfdbg.repl import jupyter


@pytest.fixture
def prog() -> Program:
    return Program(drgn.Platform(drgn.Architecture.X86_64))


def test_an_object_whose_memory_is_missing_is_shown_with_the_hole(prog: Program) -> None:
    int_ = prog.int_type("int", 4, True)
    type_ = prog.struct_type("s", 8, (TypeMember(int_, "a", 0), TypeMember(int_, "b", 32)))
    assert "cannot read 0x10" in jupyter.pretty(Object(prog, type_, address=0x10))


def test_a_type_has_offsets(prog: Program) -> None:
    int_ = prog.int_type("int", 4, True)
    assert "size: 4" in jupyter.pretty(prog.struct_type("s", 4, (TypeMember(int_, "a", 0),)))


def test_a_value_without_a_value_is_shown(prog: Program) -> None:
    assert "absent" in jupyter.pretty(Object(prog, prog.int_type("int", 4, True)))


def test_without_a_program_there_is_one_clear_error() -> None:
    drgn.set_default_prog(None)  # another test of this process may have left one
    with pytest.raises(LookupError, match="set_default_prog"):
        jupyter.session_in({})


def test_a_line_of_the_prompt_gives_its_tables_apart(session: Session) -> None:
    parts = jupyter.run(session, "log -t")
    assert all(isinstance(part, str) for part in parts)
    parts = jupyter.run(session, "mod")
    (head, rows) = next(part for part in parts if not isinstance(part, str))
    assert head[:2] == ["MODULE", "NAME"]
    assert any("cf_fault" in row for row in rows) or rows
    parts = jupyter.run(session, "mach")
    assert any(not isinstance(part, str) for part in parts)
    html = jupyter.as_html([(["<b>"], [["<script>"]]), "a < b"])
    assert "<b>" not in html
    assert "&lt;script&gt;" in html
    assert "<pre>a &lt; b</pre>" in html


def test_a_table_that_goes_through_a_pipe_is_no_html(session: Session) -> None:
    assert not [p for p in jupyter.run(session, "mod | cat") if not isinstance(p, str)]


def test_in_ipython(session: Session, capsys: pytest.CaptureFixture[str]) -> None:
    interactive = pytest.importorskip("IPython.core.interactiveshell")
    shell = interactive.InteractiveShell()
    shell.user_ns["prog"] = session.prog
    shell.run_line_magic("load_ext", "btfdbg.repl.jupyter")
    shell.run_cell('prog["init_task"].comm')
    assert 'swapper/0"' in capsys.readouterr().out
    shell.run_cell("%btf whatis struct list_head")
    assert "size: 16" in capsys.readouterr().out
    published = []
    shell.display_pub.publish = lambda data, **kwargs: published.append(data)
    shell.run_cell("%btf sys -t")
    assert "<table>" in published[0]["text/html"]
    shell.user_ns["s"] = session
    shell.run_cell("s")
    assert "release" in capsys.readouterr().out
