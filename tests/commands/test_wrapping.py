"""Lines wider than the terminal are broken between words, and only on a terminal."""

from __future__ import annotations

import io
import re
import sys
from pathlib import Path

import pytest

import btfdbg
from btfdbg.commands import namespace, output
from btfdbg.commands.evaluate import prepare, run_line
from btfdbg.commands.wrapping import for_stream, wrap, wrapped
from btfdbg.program.session import Session

_FRAME = " #6 [ff47e9218085fda0] kernfs_fop_write_iter at ffffffff9df0729f (fs/kernfs/file.c)"

_SGR = re.compile(r"\x1b\[\d*m")


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("line", "columns", "broken"),
    [
        (
            _FRAME,
            80,
            [
                " #6 [ff47e9218085fda0] kernfs_fop_write_iter at ffffffff9df0729f",
                "                       (fs/kernfs/file.c)",
            ],
        ),
        ("  - rdx is cf_victim, NULL.", 20, ["  - rdx is", "    cf_victim, NULL."]),
        # Between arguments, though the string has a space where there were room.
        (
            '       value=0x1 "a b c", param=?, third=0x3',
            32,
            ['       value=0x1 "a b c",', "       param=?, third=0x3"],
        ),
        # An argument that fits no line is broken between its words.
        ('  a=0x1 "one two three four", b=1', 18, ['  a=0x1 "one two', '  three four", b=1']),
        (
            "[   38.01] BUG: a pointer, address: 0010",
            36,
            ["[   38.01] BUG: a pointer,", "           address: 0010"],
        ),
        ("build   one two three", 16, ["build   one two", "        three"]),
        ("plain words here", 11, ["plain words", "here"]),
        (
            " #6 [ff47] fn at ff9f (drivers/a_long_name.c)",
            32,
            [" #6 [ff47] fn at ff9f", "   (drivers/a_long_name.c)"],
        ),
        # Where the first cell leaves too little room, what follows stands left.
        ("  a_long_first_cell  one two", 24, ["  a_long_first_cell  one", "    two"]),
        ("wide 漢字漢字 words", 12, ["wide", "漢字漢字", "words"]),
        # A last cell that has no room where it begins moves below one that has it left of that.
        (
            "  4294901986  175  ffffffff9f65a198  ffffffff9dae6090  <delayed_work_timer_fn>",
            72,
            [
                "  4294901986  175  ffffffff9f65a198  ffffffff9dae6090",
                "                                     <delayed_work_timer_fn>",
            ],
        ),
        # One word behind a head goes below it.
        (
            "  [7.76][T335]  kernfs_fop_write_iter.llvm",
            40,
            ["  [7.76][T335]", "    kernfs_fop_write_iter.llvm"],
        ),
        # As few lines as there may be.
        (
            "  8372419750  8372469750  604025250  ff7d5e61  ffffffff81d0fba0  <hrtimer_wakeup>",
            70,
            [
                "  8372419750  8372469750  604025250  ff7d5e61  ffffffff81d0fba0",
                "                                     <hrtimer_wakeup>",
            ],
        ),
        ("one two   ", 8, ["one two"]),
        # A cell stays whole where it fits.
        (
            "se.slice                          1400000           init_stack+0x0 = 0xffff",
            60,
            [
                "se.slice                          1400000",
                "                                  init_stack+0x0 = 0xffff",
            ],
        ),
        (
            "[Sat Nov 21 10:23:13 UTC 2026] e820: update [mem 0x00]",
            50,
            [
                "[Sat Nov 21 10:23:13 UTC 2026] e820: update [mem",
                "                               0x00]",
            ],
        ),
    ],
)
def test_a_line_is_broken_below_its_text(line: str, columns: int, broken: list[str]) -> None:
    assert wrap(line, columns).split("\n") == broken


@pytest.mark.parametrize(
    ("line", "columns", "broken"),
    [
        (
            "ssize_t vfs_write(struct file *file, const char *buf, size_t count);",
            60,
            [
                "ssize_t vfs_write(struct file *file, const char *buf,",
                "    size_t count);",
            ],
        ),
        (
            "\t.f = (int (*)(struct sock *, int))tcp_ioctl+0x0 = 0xffffffff9e4d2710,",
            60,
            [
                "        .f = (int (*)(struct sock *, int))tcp_ioctl+0x0",
                "            = 0xffffffff9e4d2710,",
            ],
        ),
        # A tab is eight columns.
        ("\t.a = 0x11, .b", 20, ["        .a = 0x11,", "            .b"]),
        # The comment of a member keeps its column.
        (
            "    int (*iopoll)(struct kiocb *, unsigned int, unsigned int, int); /* 56 8 */",
            72,
            [
                "    int (*iopoll)(struct kiocb *, unsigned int, unsigned int, int);",
                " " * 56 + "/* 56 8 */",
            ],
        ),
        (
            "    int (*f)(struct kiocb *, unsigned int, unsigned int, unsigned int); /* 56 8 */",
            70,
            [
                "    int (*f)(struct kiocb *, unsigned int, unsigned int,",
                "        unsigned int);                                  /* 56 8 */",
            ],
        ),
        # A string stays whole where it fits a line.
        (
            'name = (const char *)0xff47 "one, two", other = 1',
            34,
            ["name = (const char *)0xff47", '    "one, two", other = 1'],
        ),
        ('s = "one two three four five"', 18, ['s = "one two three', '    four five"']),
        ("a" * 30, 20, ["a" * 30]),
    ],
)
def test_c_is_broken_where_a_person_would(line: str, columns: int, broken: list[str]) -> None:
    assert wrap(line, columns, code=True).split("\n") == broken


@pytest.mark.parametrize("columns", range(10, 100))
@pytest.mark.parametrize(
    "line",
    [
        "    int (*\x1b[36miopoll\x1b[0m)(struct kiocb *, int);  \x1b[2m/*     56     8 */\x1b[0m",
        '\t\t.name\t= (\x1b[36mchar\x1b[0m [65])"#1 SMP (11-12)", \x1b[32m.b\x1b[0m = { 1, 2 },',
    ],
)
def test_no_word_of_c_is_lost_and_none_is_broken(columns: int, line: str) -> None:
    broken = wrap(line, columns, code=True)
    assert _SGR.findall(broken) == _SGR.findall(line)
    plain = _SGR.sub("", broken)
    assert plain.split() == _SGR.sub("", line).split()
    if columns > 34:
        assert max(len(row.expandtabs(8)) for row in plain.split("\n")) <= columns


@pytest.mark.parametrize("line", ["", "x" * 100, "  " + "y" * 100, _FRAME[:80]])
def test_what_fits_or_cannot_be_broken_stays(line: str) -> None:
    assert wrap(line, 80) == line


@pytest.mark.parametrize("columns", range(10, 100))
def test_no_word_is_lost_and_none_is_broken(columns: int) -> None:
    painted = f"  \x1b[31m{_FRAME}\x1b[0m  \x1b[2mdim and last\x1b[0m"
    broken = wrap(painted, columns)
    assert _SGR.findall(broken) == _SGR.findall(painted)
    plain = _SGR.sub("", broken)
    assert plain.split() == _SGR.sub("", painted).split()
    if columns > 48:  # what the longest word needs behind a frame's number and address
        assert max(map(len, plain.split("\n"))) <= columns


def test_a_stream_that_is_no_terminal_gets_the_line_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert for_stream(_FRAME, io.StringIO()) == _FRAME
    assert for_stream(_FRAME, _Terminal()) == wrap(_FRAME, 80) != _FRAME


def test_pieces_of_a_line_are_broken_as_the_line(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = _Terminal()
    monkeypatch.setattr("sys.stdout", output.Output(terminal, columns=40))
    with wrapped():
        for word in _FRAME.split():
            print(word, end=" ")
        print()
        print("no end", end="")
    *lines, last = terminal.getvalue().split("\n")
    assert " ".join(lines).split() == _FRAME.split()
    assert all(len(line) <= 40 for line in lines)
    assert last == "no end"


def test_what_was_begun_is_shown_though_the_command_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = _Terminal()
    stdout = output.Output(terminal, columns=40)
    monkeypatch.setattr("sys.stdout", stdout)

    def fails() -> None:
        with wrapped():
            print("begun", end="")
            raise LookupError

    with pytest.raises(LookupError):
        fails()
    assert terminal.getvalue() == "begun"
    assert sys.stdout is stdout


@pytest.fixture(scope="module")
def oops(oops_core: Path) -> Session:
    session = btfdbg.session(btfdbg.program_from_core_dump(oops_core))
    prepare(session)
    namespace.load_commands()
    return session


def _shown(
    session: Session, line: str, monkeypatch: pytest.MonkeyPatch, columns: int = 80
) -> list[str]:
    """What a command prints to a terminal."""
    terminal = _Terminal()
    with monkeypatch.context() as patched:
        patched.setattr("sys.stdout", output.Output(terminal, columns=columns))
        assert run_line(session, line)
    return terminal.getvalue().splitlines()


_SHOWN = ("bt", "ctx", "report", "dis ksys_write 9", "mod", "timer", "log -T", "task")


@pytest.mark.parametrize(
    "line",
    [
        *_SHOWN,
        *("p tcp_prot", "p linux_banner", "struct file_operations", "whatis file_operations"),
        *("whatis vfs_write", "x/s linux_banner", 'prog["tcp_prot"]'),
        "list -H slab_caches -o kmem_cache.list -s kmem_cache.name,ctor",
        *("diffstruct 'find_task(prog, 1)' init_task", "help"),
    ],
)
def test_a_terminal_of_80_columns_shows_whole_words(
    line: str, oops: Session, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = _shown(oops, line, monkeypatch)
    assert [row for row in shown if len(row.expandtabs(8)) > 80] == []
    if line != "mod":  # its columns are made for the terminal
        capsys.readouterr()
        assert run_line(oops, line)
        whole = capsys.readouterr().out
        wide = any(len(row.expandtabs(8)) > 80 for row in whole.splitlines())
        assert wide or line == "dis ksys_write 9"
        assert whole.split() == "\n".join(shown).split()


@pytest.mark.parametrize(
    ("columns", "object_file"),
    [
        (0, "(types known)  [CONFIG_KALLSYMS]"),
        (116, "(types known)  [CONFIG_KALLSYMS]"),
        (93, "(types known)  [CONFIG_KALLSYMS]"),
        (92, "(types known)"),
        (80, "(types known)"),
    ],
)
def test_mods_last_column_is_made_for_the_terminal(
    columns: int, object_file: str, oops: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = _shown(oops, "mod", monkeypatch, columns)
    row = next(line for line in shown if " cf_fault " in line)
    assert row.partition("  12288  ")[2] == object_file
    assert len(shown) == len(_shown(oops, "mod", monkeypatch, 0))


def test_json_and_python_are_never_broken(
    oops: Session, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    long = 0
    for line in ("bt --json-lines", "report -s crash --json", "ctx --drgn"):
        shown = _shown(oops, line, monkeypatch)
        capsys.readouterr()
        assert run_line(oops, line)
        assert capsys.readouterr().out.splitlines() == shown, line
        long += any(len(row) > 80 for row in shown)
    assert long >= 2


def test_a_file_gets_whole_lines_though_a_terminal_is_there(
    oops: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "bt"
    assert _shown(oops, f"bt > {out}", monkeypatch) == []
    assert _FRAME.split("[")[0] + "[" in out.read_text()
    assert any(len(line) > 80 for line in out.read_text().splitlines())
