"""The rule that tells commands from Python, case by case."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from btfdbg.commands.language import Language, resolve

COMMANDS = frozenset(
    (
        "bt",
        "ps",
        "p",
        "x",
        "list",
        "set",
        "struct",
        "*",
        "eval",
        "help",
        "tele",
        "log",
        "dev",
        "sh",
        "p/",
        "x/",
    )
)
TYPES = frozenset(("task_struct", "list_head"))


def language(line: str, own: frozenset[str] = frozenset()) -> tuple[str, str]:
    found = resolve(line, COMMANDS.__contains__, own, TYPES.__contains__)
    return found.language.value, found.text


@pytest.mark.parametrize(
    ("line", "kind", "text"),
    [
        ("", "nothing", ""),
        ("   ", "nothing", ""),
        ("bt", "command", "bt"),
        ("bt 1", "command", "bt 1"),
        ("ps | grep D", "command", "ps | grep D"),
        ("log > f", "command", "log > f"),
        ("%bt 1", "command", "bt 1"),
        ("% bt", "command", "bt"),
        ("!ls /", "command", "sh ls /"),
        ("?", "command", "help"),
        ("help bt", "command", "help bt"),
        ("struct page.flags 0xffff888000000000", "command", "struct page.flags 0xffff888000000000"),
        ("*task_struct ffff888000000000", "command", "*task_struct ffff888000000000"),
        ("task_struct.comm ffff888000000000", "command", "* task_struct.comm ffff888000000000"),
        ("list_head init_task", "command", "* list_head init_task"),
        ("eval (1 << 3)", "command", "eval (1 << 3)"),
        ("list task_struct.tasks", "command", "list task_struct.tasks"),
        ("set 1", "command", "set 1"),
        ("p init_task.comm", "command", "p init_task.comm"),
        ("p/x init_task.flags", "command", "p/x init_task.flags"),
        ("x/8gx init_task", "command", "x/8gx init_task"),
        ("x/s linux_banner", "command", "x/s linux_banner"),
        ("x/2", "command", "x/2"),
        ("p / 2", "command", "p / 2"),
        ("tele init_task->stack", "command", "tele init_task->stack"),
        (" bt", "python", " bt"),
        ("py bt", "python", "bt"),
        ("py print(1) | cat", "python", "py print(1) | cat"),
        ("p = 1", "python", "p = 1"),
        ("p=1", "python", "p=1"),
        ("p += 1", "python", "p += 1"),
        ("p: int = 1", "python", "p: int = 1"),
        ("p, q = 1, 2", "python", "p, q = 1, 2"),
        ("list(x)", "python", "list(x)"),
        ("set([1])", "python", "set([1])"),
        ("set.add", "python", "set.add"),
        ("list[int]", "python", "list[int]"),
        ("help(x)", "python", "help(x)"),
        ('prog["init_task"].comm', "python", 'prog["init_task"].comm'),
        ("1 + 1", "python", "1 + 1"),
        ("for t in for_each_task(prog):\n    t", "python", "for t in for_each_task(prog):\n    t"),
        ("unknown", "python", "unknown"),
        ("btx", "python", "btx"),
        ("@decorator", "python", "@decorator"),
        ('"bt"', "python", '"bt"'),
        ("task_struct", "python", "task_struct"),
        ("*a, b = 1, 2", "python", "*a, b = 1, 2"),
        ("init_task?", "ask", "init_task"),
        ("?init_task", "ask", "init_task"),
        ('prog["init_task"].mm ?', "ask", 'prog["init_task"].mm'),
        ('x = "what?"', "python", 'x = "what?"'),
    ],
)
def test_a_line_is_in_this_language(line: str, kind: str, text: str) -> None:
    if line == "py print(1) | cat":
        # drgn's own py sorts out what is redirection; without it, it is Python.
        assert language(line)[0] in ("python", "command")
        return
    assert language(line) == (kind, text)


def test_a_name_the_user_assigned_is_python_when_the_line_is() -> None:
    own = frozenset(("p", "ps"))
    assert language("p", own)[0] == "python"
    assert language("p + 1", own)[0] == "python"
    assert language("p init_task", own)[0] == "command"
    assert language("p/x", own)[0] == "python"
    assert language("p/x init_task", own)[0] == "command"
    assert language("%p", own)[0] == "command"


@given(st.text(max_size=200))
def test_any_text_has_a_language(text: str) -> None:
    assert isinstance(
        resolve(text, COMMANDS.__contains__, frozenset(("p",)), TYPES.__contains__).language,
        Language,
    )
