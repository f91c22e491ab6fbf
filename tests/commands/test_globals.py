"""Which names a user's code is given: all of drgn's unless it cannot tell."""

from __future__ import annotations

import contextlib
import io
import random
from typing import Any

import drgn
import pytest

from btfdbg.commands import globals as module

_PROG = drgn.Program()
_ALL: dict[str, Any] = {name: f"drgn's {name}" for name in "abcd"}


@pytest.fixture(autouse=True)
def few_helpers(monkeypatch: pytest.MonkeyPatch) -> None:
    def everything(prog: drgn.Program) -> dict[str, Any]:
        return {**module.basic_globals(prog), **_ALL}

    monkeypatch.setattr(module, "all_globals", everything)


def _has_all(source: str) -> bool:
    return "a" in module.code_globals(_PROG, compile(source, "<string>", "exec"), source)


@pytest.mark.parametrize(
    "source",
    [
        "print(prog)",
        "a = 1; print(a)",
        "a = prog; b = a.platform; print(b, [b for c in a.flags])",
        "import sys, os; from json import dumps; sys.stdout.write(dumps(os.name))",
        "a = 1\ndef f(): return a\nprint(f())",
        "def f(a): return a.comm\nfor _ in (): print(f(prog))",
        "a = 1\nif a:\n print(a)",
    ],
)
def test_code_that_names_what_it_made_is_given_few(source: str) -> None:
    assert not _has_all(source)


@pytest.mark.parametrize(
    "source",
    [
        "a", "print(a); a = 1", "if prog: a = 1\nprint(a)", "for a in (): pass\nprint(a)",
        "def f(): return a\nf(); a = 1", "a = a", "try:\n a = prog[1]\nexcept OSError: pass\na",
        "while prog: a = 1\na", "class A: b = a", "import drgn.helpers.linux as x",
        "from os import *\na", "import a", "eval('a')", "import sys; sys._getframe().f_globals",
        "import sys; sys.modules", "prog and (b := 1); b", "import builtins",
    ],
)  # fmt: skip
def test_code_that_may_ask_for_more_is_given_all(source: str) -> None:
    assert _has_all(source)


def _block(rng: random.Random, depth: int) -> list[str]:
    lines = []
    for _ in range(rng.randrange(1, 4)):
        name, other = rng.choice("abcd"), rng.choice("abcd")
        inner = [f" {line}" for line in _block(rng, depth - 1)] if depth else [" pass"]
        lines += rng.choice(
            (
                [f"{name} = 1"], [f"{name} = {other}"], [f"print({name})"], [f"del {name}"],
                [f"if {rng.randrange(2)}:", *inner, "else:", f" {other} = 2"],
                [f"for {name} in range({rng.randrange(3)}):", *inner],
                ["try:", *inner, " 1 / 0", "except ArithmeticError:", f" {name} = 3"],
                [f"def {name}():", f" global {other}", *inner],
                [f"if callable({name}): {name}()"], [f"print([{name} for {other} in (1, 2)])"],
                [f"class {name}:", *inner], [f"import sys as {name}"],
                [f"{name} = lambda: {other}"], [f"with x({name}) as {other}:", *inner],
            )
        )  # fmt: skip
    return lines


def _done(source: str, globals_: dict[str, Any]) -> tuple[str, str]:
    globals_["x"] = contextlib.nullcontext
    out, error = io.StringIO(), ""
    with contextlib.redirect_stdout(out):
        try:
            exec(compile(source, "<string>", "exec"), globals_)
        except Exception as e:
            error = f"{type(e).__name__}: {e}"
    return out.getvalue().split(" at 0x")[0], error


def test_code_that_is_given_few_names_does_the_same_with_all() -> None:
    rng = random.Random(20)
    few = 0
    for _ in range(4000):
        source = "x = 0\n" + "\n".join(_block(rng, 2))
        try:
            has_all = _has_all(source)
        except SyntaxError:  # a name is global after it was not
            continue
        if not has_all:
            few += 1
            found = [
                _done(source.removeprefix("x = 0\n"), {**module.basic_globals(_PROG), **names})
                for names in ({}, _ALL)
            ]
            assert found[0] == found[1], source
    assert few > 200
