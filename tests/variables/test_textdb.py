"""The database's source: notation, sets of kernels, merging."""

from __future__ import annotations

from pathlib import Path

import pytest

from btfdbg.errors import DebugInfoError
from btfdbg.vardb.database import Database
from btfdbg.vardb.textdb import AnnotatedType, Entry, Kernel, TextDatabase, TrailingZeros
from btfdbg.varextract.extract import Image, Row
from btfdbg.varextract.merge import merge

OLD = Kernel.of("5.10.0-46-cloud-amd64", "x86_64")
MID = Kernel.of("6.12.117+deb13-cloud-amd64", "x86_64")
NEW = Kernel.of("7.2.13+deb14-cloud-amd64", "x86_64")
ARM = Kernel.of("6.12.117+deb13-cloud-arm64", "aarch64")
KERNELS = (OLD, MID, NEW, ARM)


def _text(path: Path, *entries: Entry) -> str:
    TextDatabase(KERNELS, entries).write(path, "# head\n")
    return path.read_text()


@pytest.mark.parametrize(
    ("kernels", "words"),
    [
        (KERNELS, "*"),
        ((), "curated"),
        ((OLD, MID, NEW), "amd64 5.10+"),
        ((NEW,), "any 7.2+"),
        ((MID, NEW, ARM), "any 6.12+"),
        ((OLD,), "any 5.10"),
        ((OLD, MID), "amd64 5.10-6.12"),
        ((OLD, NEW), "amd64-cloud 5.10 7.2+"),
        ((OLD, ARM), "amd64 5.10; arm64 6.12+"),
    ],
)
def test_a_set_of_kernels_reads_back_from_its_words(
    tmp_path: Path, kernels: tuple[Kernel, ...], words: str
) -> None:
    path = tmp_path / "v.txt"
    entry = Entry("a", "", "int", frozenset(k.release for k in kernels))
    assert f"a: int  # {words}\n" in _text(path, entry)
    assert list(TextDatabase.read(path)) == [entry]


def test_a_kernel_added_at_the_end_of_a_lane_leaves_lines_alone(tmp_path: Path) -> None:
    entry = Entry("a", "m", "struct { int x; }", frozenset({OLD.release, MID.release}))
    one = TextDatabase((OLD, MID, ARM), [entry])
    one.write(tmp_path / "1", "")
    one.add_kernel(NEW)
    one.add(NEW, "a", "m", "struct { int x; }")
    one.write(tmp_path / "2", "")
    before = (tmp_path / "1").read_text().splitlines()[-1]
    after = (tmp_path / "2").read_text().splitlines()[-1]
    assert before == after == "a@m: struct { int x; }  # amd64 5.10+"


@pytest.mark.parametrize(
    "line",
    [
        "a int",
        "a: int",
        "a: int  # amd64-cloud 9.9",
        "a: int  # mips-cloud 5.10",
        "kernel x",
        "tail x 1/2 int",
    ],
)
def test_a_line_out_of_the_notation_is_an_error_with_its_place(tmp_path: Path, line: str) -> None:
    path = tmp_path / "v.txt"
    _text(path, Entry("z", "", "int", frozenset()))
    path.write_text(path.read_text() + line + "\n")
    with pytest.raises(DebugInfoError, match=r"v\.txt:\d+: "):
        TextDatabase.read(path)


@pytest.mark.parametrize(
    "marked",
    [
        AnnotatedType("int"),
        AnnotatedType("char *[3]", True),
        AnnotatedType("int [4]", False, 2),
        AnnotatedType("u8 [2]", True, 0),
    ],
)
def test_marks_before_a_type_read_back(marked: AnnotatedType) -> None:
    assert AnnotatedType.parse(str(marked)) == marked


def _row(name: str, type_: str, **more: object) -> Row:
    values: dict[str, object] = {"size": 8, "address": 0, "section": ".data", "file": ""}
    values |= {"shared": False, "readonly": False, "tail": None} | more
    return Row(name, type_, **values)  # type: ignore[arg-type] # fields by name


def test_merging_a_kernel_again_replaces_what_was_known_of_it() -> None:
    text = TextDatabase()
    merge(text, MID, [Image("", "x86_64", (_row("a", "int"),), ())])
    merge(text, MID, [Image("", "x86_64", (_row("b", "int"),), ())])
    assert [entry.name for entry in text] == ["b"]


def test_what_a_macro_names_is_left_out_where_the_rule_is_exact() -> None:
    text = TextDatabase()
    rows = (
        _row("__tracepoint_x", "struct tracepoint"),
        _row("__tracepoint_y", "struct something_else"),
        _row("__tpstrtab_abc", "const char [4]"),
        _row("__tpstrtab_abd", "const char [9]"),
        _row("__UNIQUE_ID_a1", "const char [4]"),
    )
    merge(text, MID, [Image("", "x86_64", rows, ())])
    assert [entry.name for entry in text] == ["__tpstrtab_abd", "__tracepoint_y"]


def test_only_an_unusual_end_of_an_array_is_marked() -> None:
    text = TextDatabase()
    rows = [_row(f"t{i}", "struct attribute *[3]", tail=1) for i in range(20)]
    rows.append(_row("odd", "struct attribute *[3]", tail=2))
    merge(text, MID, [Image("", "x86_64", tuple(rows), ())])
    types = {entry.name: entry.type for entry in text}
    assert text.tails["struct attribute *"] == TrailingZeros(1, 20, 21)
    assert types["t3"] == "struct attribute *[3]"
    assert types["odd"] == "tail2 struct attribute *[3]"


def test_what_is_written_by_hand_outlives_the_kernels_that_agree(tmp_path: Path) -> None:
    path = tmp_path / "source.txt"
    path.write_text("kernel amd64-full 6.1 6.1.5-amd64 x86_64\nv: int  # *\nv: int  # curated\n")
    database = Database.from_text(TextDatabase.read(path))
    assert len(database.candidates("v")) == 2
    left = database.without(lambda kernel: True).candidates("v")
    assert [(c.type, c.kernels) for c in left] == [("int", 0)]
