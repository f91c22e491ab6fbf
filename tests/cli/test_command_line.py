"""The command as a user runs it: a process, its output, its exit status."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.patience import limited

BTFDBG = (sys.executable, "-m", "btfdbg.cli.main")


def run(*args: object, stdin: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*BTFDBG, *map(str, args)],
        input=stdin,
        capture_output=True,
        text=True,
        preexec_fn=limited(),
        env={**os.environ, **environment},
        check=False,
    )


def assert_one_line(result: subprocess.CompletedProcess[str], *words: str) -> None:
    """Exit status 2 and one line on stderr, with these words in it."""
    assert result.returncode == 2
    assert result.stdout == ""
    assert result.stderr.count("\n") == 1, result.stderr
    assert result.stderr.startswith("btfdbg: ")
    for word in words:
        assert word in result.stderr


def test_code_runs_with_prog_bound(x86_core: Path) -> None:
    result = run(x86_core, "-e", 'print(prog["init_task"].comm.string_())')
    assert (result.returncode, result.stdout, result.stderr) == (0, "b'swapper/0'\n", "")


@pytest.mark.parametrize(
    ("option", "said"),
    [("--btf", "no BTF in it"), ("--kallsyms", "0 symbols, not the map of a kernel")],
)
def test_a_given_file_that_has_nothing_is_refused_by_name(
    option: str, said: str, x86_core: Path, tmp_path: Path
) -> None:
    file = tmp_path / "notes"
    file.write_text("root:x:0:0\n")
    for rest in (("-x", "bt"), ("-e", "1")):
        assert_one_line(run(x86_core, option, file, *rest), f"{option} {file}: {said}")
    assert_one_line(run("info", x86_core, option, file), f"{option} {file}: {said}")
    out = tmp_path / "out"
    assert_one_line(run("trim", x86_core, out, option, file), f"{option} {file}: {said}")
    assert not out.exists()
    missing = tmp_path / "missing"
    assert_one_line(run(x86_core, option, missing, "-x", "bt"), f"{option} {missing}: No such")


@pytest.mark.parametrize(
    ("option", "said"),
    [("--modules-dir", "no such folder"), ("--btf-extra", "no such file or folder")],
)
def test_a_mistyped_place_of_files_is_not_passed_over(
    option: str, said: str, x86_core: Path, tmp_path: Path
) -> None:
    missing = tmp_path / "missing"
    assert_one_line(run(x86_core, option, missing, "-x", "p 1"), f"{option} {missing}: {said}")
    given = run(x86_core, option, tmp_path, "-x", "p 1")
    assert (given.returncode, given.stdout, given.stderr) == (0, "1 = (int)1\n", "")


def test_code_given_twice_runs_in_turn(x86_core: Path) -> None:
    result = run(x86_core, "-e", "x = 1", "-e", "for _ in range(2): print(x)", "-e", "print(2)")
    assert (result.returncode, result.stdout, result.stderr) == (0, "1\n1\n2\n", "")


def test_code_may_use_drgns_helpers(x86_core: Path) -> None:
    result = run(x86_core, "-e", "print(find_task(1).pid.value_())")
    assert (result.returncode, result.stdout) == (0, "1\n")


def test_code_that_fails_is_status_1_with_the_users_traceback(x86_core: Path) -> None:
    result = run(x86_core, "-e", 'prog["no_such_variable"]')
    assert result.returncode == 1
    assert "no_such_variable" in result.stderr
    assert "execute.py" not in result.stderr


def test_a_script_that_fails_shows_its_own_frames_only(x86_core: Path, tmp_path: Path) -> None:
    script = tmp_path / "fails.py"
    script.write_text("def f():\n    raise ValueError('x')\nf()\n")
    result = run(x86_core, script)
    assert result.returncode == 1
    files = [line for line in result.stderr.splitlines() if line.startswith("  File ")]
    assert files == [f'  File "{script}", line {n}, in {f}' for n, f in ((3, "<module>"), (2, "f"))]


def test_a_second_dump_is_one_line(x86_core: Path, tmp_path: Path) -> None:
    second = tmp_path / "second.vmcore"
    second.write_bytes(b"\x7fELF\x02\x01\x01" + bytes(57))
    assert_one_line(run(x86_core, second), "second.vmcore", "one dump at a time", "triage")


def test_a_piped_command_on_standard_input_is_no_python(x86_core: Path) -> None:
    result = run(x86_core, stdin="ps | head -1\nprint(2)\n")
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.splitlines()[0].split()[0] == "PID"
    assert result.stdout.splitlines()[-1] == "2"


def test_an_exit_status_of_the_code_is_passed_on(x86_core: Path) -> None:
    assert run(x86_core, "-e", "raise SystemExit(7)").returncode == 7


def test_modules_are_there_for_code_that_asks_drgn_for_them(x86_core: Path) -> None:
    code = "print(len(list(prog.modules())) > 1, len(prog.crashed_thread().stack_trace()) > 3)"
    assert run(x86_core, "-e", code).stdout == "True True\n"


def test_a_script_gets_prog_and_its_arguments(x86_core: Path, tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text("import sys\nprint(sys.argv[1:], __name__, prog['init_task'].pid.value_())\n")
    result = run(x86_core, script, "-e", "--color=x", "-1")
    assert result.returncode == 0
    assert result.stdout == "['-e', '--color=x', '-1'] __main__ 0\n"


def test_standard_input_is_code(x86_core: Path) -> None:
    result = run(x86_core, stdin="print(prog['init_task'].pid.value_())\n")
    assert (result.returncode, result.stdout) == (0, "0\n")


def test_commands_run_in_order(x86_core: Path) -> None:
    result = run(x86_core, "-x", "ps | grep init", "-x", "bt 1")
    assert result.returncode == 0
    assert "init" in result.stdout
    assert "#0" in result.stdout
    assert result.stdout.index("init") < result.stdout.index("#0")


def test_a_command_that_does_not_exist_is_status_1_and_one_line(x86_core: Path) -> None:
    result = run(x86_core, "-x", "nosuchcommand")
    assert result.returncode == 1
    assert "nosuchcommand" in result.stderr
    assert "Traceback" not in result.stderr


def test_info_json_has_the_documented_keys(x86_core: Path) -> None:
    facts = json.loads(run("info", x86_core, "--json").stdout)
    assert {
        "format",
        "architecture",
        "release",
        "build_id",
        "vmcoreinfo",
        "kallsyms",
        "btf",
        "modules",
        "notes",
    } <= facts.keys()
    assert facts["architecture"] == "x86_64"
    assert facts["btf"]["types"] > 50_000
    assert facts["kallsyms"]["count"] > 50_000
    assert all(m["btf"]["types"] >= 0 for m in facts["modules"] if m["btf"])
    assert facts["notes"] == []


def test_what_info_saves_opens_the_dump_again(x86_core: Path, tmp_path: Path) -> None:
    saved = tmp_path / "vmcoreinfo"
    assert run("info", x86_core, "--save-vmcoreinfo", saved).returncode == 0
    assert saved.read_bytes().startswith(b"OSRELEASE=")
    result = run("--vmcoreinfo", saved, x86_core, "-e", "print(prog['init_task'].pid.value_())")
    assert (result.returncode, result.stdout) == (0, "0\n")


def test_no_dump_given_is_a_usage_error() -> None:
    result = run()
    assert result.returncode == 2
    assert "which dump?" in result.stderr


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", ("empty",)),
        (b"hello, world\n" * 50, ("not a dump", "expected")),
        (b"\x1f\x8b" + bytes(100), ("gzip", "gunzip")),
        (b"\x7fELF\x02\x01\x01" + bytes(20), ("truncated",)),
        (b"KDUMP   " + bytes(100), ("truncated",)),
        (b"#!/usr/bin/python3\n", ("script",)),
    ],
)
def test_what_is_no_dump_is_one_line(
    content: bytes, words: tuple[str, ...], tmp_path: Path
) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    assert_one_line(run(path, "-e", "pass"), *words)
    assert_one_line(run("info", path), *words)


def test_a_missing_file_is_one_line(tmp_path: Path) -> None:
    assert_one_line(run(tmp_path / "none"), "No such file")


def test_a_mistyped_subcommand_is_named_and_its_dump_is_not_taken_for_a_script(
    x86_core: Path,
) -> None:
    assert_one_line(
        run("repotr", x86_core), "repotr: No such file or directory; the subcommand is report"
    )
    assert_one_line(run("exportvmlinux", x86_core), "the subcommand is export-vmlinux")
    result = run("vmcore", x86_core)
    assert_one_line(result, "vmcore: No such file or directory\n")


def test_a_file_of_symbols_that_holds_none_is_refused(x86_core: Path, tmp_path: Path) -> None:
    assert_one_line(
        run("-s", tmp_path / "none", x86_core, "-x", "p 1"), "none: No such file or directory"
    )
    assert_one_line(run("-s", x86_core, x86_core, "-x", "p 1"), f"-s {x86_core}: not an ELF file")


def test_what_stands_in_the_wrong_order_is_put_right(x86_core: Path) -> None:
    assert_one_line(
        run(x86_core, "report"), f"report: no such script; did you mean btfdbg report {x86_core}?"
    )
    assert_one_line(run(x86_core, "bt"), f"did you mean btfdbg {x86_core} -x bt?")
    assert_one_line(run(x86_core, "dmesg"), f"did you mean btfdbg {x86_core} -x dmesg?")
    assert_one_line(run("log", x86_core), f"is run by btfdbg {x86_core} -x log")
    assert_one_line(run("bt", x86_core), f"is run by btfdbg {x86_core} -x bt")
    other = run(x86_core, "nosuch")
    assert other.returncode == 1
    assert other.stderr == "btfdbg: nosuch: no such script\n"


def test_a_log_that_is_given_as_a_dump_is_told_from_one(tmp_path: Path) -> None:
    log = tmp_path / "dmesg.txt"
    log.write_text("[    0.000000] Linux version 6.12.1 \u2013 made\n" * 3)
    for words in ((log,), ("report", log), ("signature", log)):
        assert_one_line(
            run(*words), "is a kernel's log, not a dump", f"btfdbg report --log {log} reads it"
        )
    log.write_bytes(b"\1\2\3\4 no text\n" * 3)
    assert_one_line(run(log), "is not a dump: it begins with 01 02 03 04")


def test_a_folder_is_one_line(tmp_path: Path) -> None:
    assert_one_line(run(tmp_path), "directory")


def test_a_program_is_one_line() -> None:
    assert_one_line(run(Path(sys.executable).resolve()), "not a core dump")


def test_a_core_of_a_process_is_one_line(tmp_path: Path) -> None:
    """Never the running kernel instead."""
    core = tmp_path / "core"
    # An ELF core with a PT_NOTE of NT_PRPSINFO and one page: what a process leaves.
    note = (5).to_bytes(4, "little") + (136).to_bytes(4, "little") + (3).to_bytes(4, "little")
    note += b"CORE\0\0\0\0" + bytes(136)
    header = b"\x7fELF\x02\x01\x01" + bytes(9)
    header += (4).to_bytes(2, "little") + (62).to_bytes(2, "little") + (1).to_bytes(4, "little")
    header += bytes(8) + (64).to_bytes(8, "little") + bytes(8) + bytes(4)
    header += (64).to_bytes(2, "little") + (56).to_bytes(2, "little") + (2).to_bytes(2, "little")
    header += bytes(6)

    def segment(type_: int, offset: int, size: int, address: int) -> bytes:
        words = (offset, address, 0, size, size, 0)
        return (
            type_.to_bytes(4, "little")
            + (4).to_bytes(4, "little")
            + b"".join(w.to_bytes(8, "little") for w in words)
        )

    notes_at = 64 + 2 * 56
    body = segment(4, notes_at, len(note), 0) + segment(1, 4096, 4096, 0x400000)
    data = header + body + note
    core.write_bytes(data.ljust(4096, b"\0") + bytes(4096))
    assert_one_line(run(core), "process")


def test_a_closed_pipe_is_no_failure(x86_core: Path) -> None:
    command = f"'{sys.executable}' -m btfdbg.cli.main '{x86_core}' -x ps | head -1"
    result = subprocess.run(
        ["sh", "-c", command], capture_output=True, text=True, preexec_fn=limited(), check=False
    )
    assert result.stdout.startswith(" ") or result.stdout
    assert "Traceback" not in result.stderr


def test_help_speaks_to_users_not_to_developers() -> None:
    """A subcommand's help is its module's docstring up to what the module owns."""
    import re

    from btfdbg.cli.options import SUBCOMMANDS
    from btfdbg.cli.parser import subcommand_parser

    for command in SUBCOMMANDS.values():
        text = subcommand_parser(command).format_help()
        assert not re.findall(r":[a-z]+:`|``|add_arguments|\bOwns\b", text), command.name


@pytest.mark.parametrize("verb", ["info", "report", "signature"])
def test_a_second_dump_is_called_one(verb: str, x86_core: Path, tmp_path: Path) -> None:
    result = run(verb, x86_core, x86_core)
    assert result.returncode == 2
    assert result.stderr == (
        f"btfdbg {verb}: error: {x86_core} is another dump, and one at a time is read;"
        " btfdbg triage reads several\n"
    )
    other = tmp_path / "notes.txt"
    other.write_text("no dump\n")
    assert f"unrecognized arguments: {other}; " in run(verb, x86_core, other).stderr
