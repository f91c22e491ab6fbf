"""Arguments of commands: words, expressions, names in errors."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from btfdbg.commands import failure, values, words


@pytest.mark.parametrize(
    ("source", "args"),
    [
        ("", []),
        ("a b", ["a", "b"]),
        ('prog["init_task"].fs', ['prog["init_task"].fs']),
        ("find_task(prog, 1)", ["find_task(prog, 1)"]),
        ("find_task(prog, 1)->mm -n 3", ["find_task(prog, 1).mm", "-n", "3"]),
        ("'struct task_struct' x", ["struct task_struct", "x"]),
        ('"a b"', ["a b"]),
        ("'a'+'b'", ["'a'+'b'"]),
        ("a # comment", ["a"]),
        ("init_task -> pid", ["init_task.pid"]),
        ("a ->-8", ["a", "->-8"]),
        ("$x.y", ["$x.y"]),
        ("x[1 > 2]", ["x[1 > 2]"]),
    ],
)
def test_words(source: str, args: list[str]) -> None:
    assert list(words.parse(source).args) == args


@pytest.mark.parametrize(
    ("source", "redirections", "pipeline"),
    [
        ("a > f", [(1, ">", "f")], None),
        ("a >> f", [(1, ">>", "f")], None),
        ("a 2> f", [(2, ">", "f")], None),
        ("a < f", [(0, "<", "f")], None),
        ("a >f|wc -l", [(1, ">", "f")], "wc -l"),
        ("a | grep 'x > y'", [], "grep 'x > y'"),
    ],
)
def test_redirections(
    source: str, redirections: list[tuple[int, str, str]], pipeline: str | None
) -> None:
    parsed = words.parse(source)
    assert [(r.fd, r.op, r.path) for r in parsed.redirections] == redirections
    assert parsed.pipeline == pipeline


@pytest.mark.parametrize("source", ["'", '"a', "(", "a[", "x >", "a |"])
def test_what_is_not_closed_is_an_error(source: str) -> None:
    with pytest.raises(SyntaxError):
        words.parse(source)


@given(st.text(max_size=100))
def test_any_text_is_words_or_a_syntax_error(source: str) -> None:
    try:
        words.parse(source)
    except SyntaxError:
        pass


def test_arrows_in_quotes_and_pipelines_stay() -> None:
    assert words.arrows("a->b 'c->d' | grep e->f") == "a.b 'c->d' | grep e->f"


def test_a_dollar_in_quotes_stays() -> None:
    assert values.dollars("$a + '$b' + $1") == "__dollar__('a') + '$b' + __dollar__('1')"


@pytest.mark.parametrize(
    ("name", "candidates", "found"),
    [
        ("init_tsak", ["init_task", "exit_task", "x"], ["init_task"]),
        ("schedul", ["schedule", "scheduler"], ["schedule", "scheduler"]),
        ("", ["a"], []),
        ("zzz", ["a", "b"], []),
        ("TASK", ["task_"], ["task_"]),
        ("x" * 300, ["x" * 299], []),
    ],
)
def test_nearest(name: str, candidates: list[str], found: list[str]) -> None:
    assert failure.nearest(name, candidates) == found


def test_nearest_is_quick_over_many_names() -> None:
    import time

    many = [f"some_symbol_{i}" for i in range(155_000)]
    begin = time.process_time()
    failure.nearest("some_symbl_77", many)
    assert time.process_time() - begin < 1.0


@pytest.mark.parametrize(
    "error",
    [
        ValueError(), KeyError(), KeyError(1), KeyError("a b"), RuntimeError("x\ny"),
        SyntaxError("bad"), NameError("n"), AttributeError("a"), RecursionError(),
        MemoryError(), OSError(2, "No such file"), TypeError("t"), LookupError(), StopIteration(),
        UnicodeDecodeError("utf-8", b"\xff", 0, 1, "bad"),
    ],
)  # fmt: skip
def test_every_error_has_one_line(error: Exception) -> None:
    line = failure.describe(error)
    assert line
    assert "\n" not in line
