"""What is refused says what to type, and nothing is shown as if it were an answer."""

from __future__ import annotations

import json
import re
from pathlib import Path

import drgn
import pytest
from drgn.commands import CommandError

import btfdbg
from btfdbg.commands.crash.net import _devices
from btfdbg.commands.evaluate import prepare, run_line
from btfdbg.commands.state import state_of
from btfdbg.commands.usage_errors import worded
from btfdbg.program import untyped
from btfdbg.program.session import Session

Said = pytest.CaptureFixture[str]

REFUSED = (
    # no such task
    ("ps 999999", "ps: no task matches 999999"),
    ("bt 999999", "bt: no task matches 999999; ps lists tasks"),
    ("bt -t 999999", "bt: no task matches 999999; ps lists tasks"),
    ("task 999999", "task: no task matches 999999; ps lists tasks"),
    ("vm 999999", "vm: no task matches 999999; ps lists tasks"),
    ("vm -p 999999", "vm: no task matches 999999; ps lists tasks"),
    ("files 999999", "files: no task matches 999999; ps lists tasks"),
    ("sig 999999", "sig: no task matches 999999; ps lists tasks"),
    ("net -s 999999", "net: no task matches 999999; ps lists tasks"),
    ("bt ffff800000000001", "bt: no task matches ffff800000000001; ps lists tasks"),
    ("foreach 999999 bt", "foreach: no task matches 999999; ps lists tasks"),
    ("foreach nosuch bt", "foreach: no task matches nosuch; ps lists tasks"),
    ("ps nosuch", "ps: no task matches nosuch; ps lists tasks"),
    ("ctx 999999", "ctx: no task matches 999999; ps lists tasks"),
    ("frame -t 999999", "frame: no task matches 999999; ps lists tasks"),
    ("bt sh", "bt: 'sh' is neither a pid nor the address of a task; by name: foreach sh bt"),
    ("sig sh", "sig: 'sh' is neither a pid nor the address of a task; by name: foreach sh sig"),
    # no such CPU, IRQ, slab cache
    ("set -c 99", "set: -c 99: invalid CPUs: 99"),
    ("runq -c 99", "runq: invalid CPUs: 99; mach counts this machine's"),
    ("kmem -s nosuchcache", "-s: no slab cache is named nosuchcache; kmem -s list lists them"),
    ("irq 99999", "irq: no IRQ 99999 here; irq -u lists those in use"),
    ("kmem -s dentri", "kmem: -s: no slab cache is named dentri; did you mean dentry?"),
    # misspelt
    ("sym jifies", "sym: no symbol is named jifies; did you mean jiffies?"),
    ("list task_strct.tasks -H init_task", "did you mean task_struct"),
    ("p task_strct", "did you mean task_struct"),
    ("p init_task.comm = 'x'", "p: = would write, and a dump is only read"),
    ("struct task_struct.cmm init_task", "has no member 'cmm'; did you mean comm"),
    # words of a command line
    ("ptov foo", "ptov: 'foo' is no hexadecimal number"),
    ("ascii zz", "ascii: 'zz' is no hexadecimal number"),
    ("irq foo", "irq: 'foo' is no number"),
    ("bt -c", "bt: -c takes a value; help bt lists what it takes"),
    ("rd", "rd: required: address|symbol; help rd lists what it takes"),
    ("kmem", "kmem: address or option is required; help kmem lists what it takes"),
    ("foreach", "foreach: no command given; help foreach lists what it takes"),
    ("set nosuch", "set: not a pid, task, or option: 'nosuch'; help set lists what it takes"),
    ("sys nosuch", "sys: 'nosuch' is not known; 'config' is"),
    ("search nosuchsymbol", "search: no symbol is named nosuchsymbol"),
    ("search jifies", "search: no symbol is named jifies; did you mean jiffies?"),
    # files
    ("sys > /dev/full", "sys: /dev/full: No space left on device\n"),
    ("log > /dev/full", "log: /dev/full: No space left on device\n"),
    ("source /nonexistent", "source: /nonexistent: No such file or directory\n"),
    ("open('/nonexistent')", "btfdbg: /nonexistent: No such file or directory\n"),
    ("foreach bt --nonsense", "unrecognized arguments: --nonsense; help bt lists what it takes"),
    # nothing is there
    ("kmem -s 7fffffffffff", "kmem: 7fffffffffff: is in no slab object"),
    ("kmem -p 7fffffffffff", "kmem: 7fffffffffff: is in no page of the machine's memory"),
    ("kmem -v 7fffffffffff", "kmem: 7fffffffffff: is in no vmalloc area"),
    ("kmem 7fffffffffff", "no symbol, task, page, vmalloc area or slab object is there"),
    ("mod -s nosuch", "mod: -s nosuch: the module is not loaded; mod lists modules"),
    ("p $sp", "there is no $sp (known: none yet); ctx shows the registers"),
    # what goes with what
    ("net -R 3", "net: -R goes with -s or -S"),
    ("foreach p jiffies", "foreach: no command in 'p jiffies'; over tasks go bt, files, net, ps"),
    ("gdb set var x=1", "gdb: set: a dump is only read"),
    # crash's own tables
    ("help -m", "here: mach shows the machine"),
    ("help -n", "here: info says what the dump holds"),
)


@pytest.mark.parametrize(("line", "said"), REFUSED)
def test_a_refusal_says_what_to_type_and_shows_nothing(
    line: str, said: str, session: Session, capsys: Said, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare(session)
    # Other tests of this session may have bound some.
    monkeypatch.setattr(state_of(session.prog), "names", {})
    assert not run_line(session, line)
    out, err = capsys.readouterr()
    assert said in err
    assert not out
    assert "error:" not in err


def test_what_is_there_is_shown_before_what_is_not(session: Session, capsys: Said) -> None:
    prepare(session)
    assert not run_line(session, "bt 999999 1")
    out, err = capsys.readouterr()
    assert out.startswith("PID: 1 ")
    assert err.startswith("bt: no task matches 999999")
    assert not run_line(session, "kmem -s dentri kmalloc-64")
    out, _ = capsys.readouterr()
    assert "kmalloc-64" in out


def test_a_list_of_aliases_goes_into_a_pipeline(session: Session, capfd: Said) -> None:
    prepare(session)
    assert run_line(session, "alias | grep foreach")
    assert capfd.readouterr().out.split() == ["builtin", "for", "foreach"]
    assert run_line(session, "alias few ps | head -2")
    capfd.readouterr()
    assert run_line(session, "few")
    assert len(capfd.readouterr().out.splitlines()) == 2
    assert run_line(session, 'alias few ""')


@pytest.fixture
def oops(oops_core: Path) -> Session:
    return btfdbg.session(btfdbg.program_from_core_dump(oops_core))


def test_a_function_is_found_without_the_ending_that_the_compiler_gave_it(
    oops: Session, capsys: Said
) -> None:
    prepare(oops)
    assert untyped.copies(oops, "cf_level3") == ("cf_level3.constprop.0",)
    for line in (
        "sym cf_level3", "dis cf_level3", "dis -r cf_level3+4", "sym cf_level3+4",
        "sym cf_level3.constprop.0+0x1a/0x40 [cf_fault]", "dis -r cf_level3+0x1a/0x40 [cf_fault]",
    ):  # fmt: skip
        assert run_line(oops, line), capsys.readouterr().err
        assert "cf_level3.constprop.0" in capsys.readouterr().out
    assert untyped.copies(oops, "vfs_read") == ()


def test_a_kernel_without_networking_says_so(oops: Session) -> None:
    with pytest.raises(CommandError, match="without networking"):
        _devices(drgn.Object(oops.prog, "struct net *", 0))


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("x: error: argument -a: not allowed with argument -b", "x: -a is not allowed with -b"),
        ("x: error: argument -a: expected at least one argument", "x: -a takes at least one"),
        ("x: error: argument a: invalid choice: 'q' (choose from 'r', 's')",
         "x: 'q' is none of 'r', 's'"),
        ("x: error: ambiguous option", "x: ambiguous option"),
        ("no parser said this", "no parser said this"),
    ],
)  # fmt: skip
def test_the_words_of_argparse_are_ours(said: str, words: str) -> None:
    assert worded(said).startswith(words)


def test_an_exception_frame_names_the_function_that_was_interrupted(
    oops: Session, capsys: Said
) -> None:
    prepare(oops)
    assert run_line(oops, "bt -e")
    kernel = capsys.readouterr().out.split("KERNEL-MODE EXCEPTION FRAME AT: ")[1:]
    assert kernel
    for frame in kernel:
        place, *registers = frame.splitlines()[1:]
        found = re.fullmatch(r"    \[exception RIP: (.+)\+(\d+)(?: \[\w+\])?\]", place)
        assert found, place
        name, offset = found.groups()
        ip = next(m[1] for line in registers if (m := re.search(r" IP: ([0-9a-f]{16})", line)))
        (symbol,) = oops.prog.symbols(name)
        assert symbol.address + int(offset) == int(ip, 16)


def test_every_line_of_resources_stands_alone(session: Session, capsys: Said) -> None:
    """The bundled dumps lack the pages of some resources."""
    prepare(session)
    assert run_line(session, "dev -i --json")
    out, err = capsys.readouterr()
    ports, memory = (section["rows"] for section in json.loads(out))
    assert ports[0]["NAME"] == "PCI IO"
    assert memory[0]["NAME"] == "PCI mem"
    lost = [row for row in ports + memory if row["RANGE"] == "?"]
    assert lost
    assert "what is behind and below a resource is unknown" in err
    assert {row["NAME"] for row in lost} == {"?"}


def test_a_row_of_json_is_the_row_of_the_text(session: Session, capsys: Said) -> None:
    prepare(session)
    assert run_line(session, "kmem -p --json-lines")
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert run_line(session, "kmem -p")
    text = capsys.readouterr().out.splitlines()[1:]
    assert len(text) == len(rows) > 10_000
    for line, row in list(zip(text, rows, strict=True))[::97]:
        page, physical, mapping, index, count, flags = line.split(None, 5)
        assert row["PAGE"] == page
        numbers = (row["PHYSICAL"], row["MAPPING"], row["INDEX"], row["CNT"])
        assert numbers == tuple(int(word, 16) for word in (physical, mapping, index, count))
        assert row["FLAGS"] == flags


def test_a_system_call_is_found_by_what_it_was_called(session: Session, capsys: Said) -> None:
    prepare(session)
    assert not run_line(session, "sym sys_read")
    err = capsys.readouterr().err
    assert any(f"did you mean {prefix}sys_read" in err for prefix in ("__x64_", "__arm64_")), err
