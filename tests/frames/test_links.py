"""Which code is of one object file: what calls of static functions show, and what shows nothing."""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from btfdbg.frames.sources.bugtable import BugTable
from btfdbg.frames.sources.links import Links, StaticCalls, pointers
from btfdbg.frames.sources.lookup import SourceFiles
from btfdbg.frames.sources.model import Function
from btfdbg.frames.sources.records import Named
from btfdbg.kallsyms.model import Sym
from tests.frames.test_sources import TEXT, Made, bugs_of, made

SIZE = 16


def x86_64(place: int, target: int) -> bytes:
    return b"\xe8" + struct.pack("<i", target - place - 5)


def jump(place: int, target: int) -> bytes:
    return b"\xe9" + struct.pack("<i", target - place - 5)


def aarch64(place: int, target: int) -> bytes:
    return struct.pack("<I", 0x9400_0000 | (target - place) // 4 & 0x3FF_FFFF)


ENCODINGS = {"call": ("x86_64", x86_64), "jump": ("x86_64", jump), "bl": ("aarch64", aarch64)}


class Linked(Made):
    """Made functions, some of which call others; those in capitals are not static."""

    def __init__(
        self,
        names: Sequence[str],
        calls: Mapping[str, str],
        encoding: str = "call",
        *,
        bugs: BugTable | None = None,
        records: dict[str, Named] | None = None,
        borders: Sequence[str] = (),
        written: Sequence[str] = (),
        patched: Sequence[str] = (),
    ) -> None:
        super().__init__(names, bugs=bugs, records=records)
        machine, encode = ENCODINGS[encoding]
        self.functions = [
            Sym(f.name, f.address, f.size, "T" if f.name.isupper() else "t") for f in self.functions
        ]
        text = bytearray(b"\xcc" * SIZE * len(names))
        for caller, callee in calls.items():
            place = self.start(caller) + 4
            text[place - TEXT : place - TEXT + 5] = encode(place, self.start(callee))[:5].ljust(
                5, b"\xcc"
            )
        self.text = bytes(text)
        self.links = Links(
            self,
            self.read,
            machine,
            [self.start(name) for name in borders],
            frozenset(self.start(name) + 4 for name in written),
            frozenset(self.start(name) for name in patched),
        )

    def start(self, name: str) -> int:
        return self.named(name)[0].address

    def is_static(self, function: Function) -> bool:
        return isinstance(function, Sym) and function.type_letter == "t"

    def read(self, address: int, size: int) -> bytes | None:
        offset = address - TEXT
        whole = bytes(max(0, -offset)) + self.text[max(0, offset) : max(0, offset + size)]
        return whole.ljust(size, b"\0")[:size]

    def joined(self, name: str) -> list[str] | None:
        """Names of the functions that are shown to be of one object file with one."""
        assert self.links is not None
        found = self.links.around(self.named(name)[0])
        if found is None:
            return None
        return [f.name for f in self.functions if found[0] <= f.address < found[1]]


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_what_lies_between_a_call_and_its_static_function_is_of_one_file(encoding: str) -> None:
    there = Linked("abcde", {"b": "d"}, encoding)
    back = Linked("abcde", {"d": "b"}, encoding)
    for region in (there, back):
        assert [region.joined(name) for name in "abcde"] == [
            None,
            ["b", "c", "d"],
            ["b", "c", "d"],
            ["b", "c", "d"],
            None,
        ]


def test_ranges_that_share_a_function_are_one_and_those_beside_each_other_are_not() -> None:
    assert Linked("abcdef", {"a": "c", "d": "c"}).joined("b") == list("abcd")
    beside = Linked("abcdef", {"a": "c", "d": "f"})
    assert (beside.joined("a"), beside.joined("e")) == (list("abc"), list("def"))


SHOWS_NOTHING: dict[str, Callable[[], Linked]] = {
    "a function that other files can name": lambda: Linked(["a", "b", "C"], {"a": "C"}),
    "a call that the kernel wrote": lambda: Linked("abc", {"a": "c"}, written=["a"]),
    "a function to which calls are written": lambda: Linked("abc", {"a": "c"}, patched=["c"]),
    "a border of the text": lambda: Linked("abc", {"a": "c"}, borders=["b"]),
    "two files in it": lambda: Linked(
        "abc", {"a": "c"}, bugs=bugs_of((0, b"fs/a.c"), (2, b"fs/c.c"))
    ),
    "a function of ThinLTO's": lambda: Linked(["a", "b", "c.llvm.77"], {"a": "c.llvm.77"}),
    "the cold part of a function": lambda: Linked(["a", "b", "a.cold"], {"a": "a.cold"}),
    "a call of itself": lambda: Linked("abc", {"b": "b"}),
}


@pytest.mark.parametrize("case", SHOWS_NOTHING)
def test_what_shows_nothing(case: str) -> None:
    region = SHOWS_NOTHING[case]()
    assert region.joined("b") is None


def test_a_border_at_an_end_of_what_is_linked_does_not_part_it() -> None:
    assert Linked("abcd", {"a": "b"}, borders=["a", "c"]).joined("a") == ["a", "b"]


def file_of(region: Linked, name: str) -> tuple[str, str] | None:
    files = SourceFiles(lambda _: region, release="6.12.3", machine="x86_64", load=None)
    return files.of_function(region, region.named(name)[0])


def test_the_file_of_one_function_is_that_of_all_that_calls_link_to_it() -> None:
    bugs = bugs_of((0, b"fs/a.c"), (3, b"fs/b.c"))
    region = Linked("abcdef", {"c": "e", "d": "f"}, bugs=bugs)
    says = "calls link it to functions of this file"
    assert [file_of(region, name) for name in "bcef"] == [
        None,
        ("fs/b.c", says),
        ("fs/b.c", says),
        ("fs/b.c", says),
    ]


def test_what_is_known_of_several_files_says_nothing_of_the_others() -> None:
    records = {"a": Named(("fs/a.c",), "dynamic debug"), "c": Named(("fs/c.c",), "dynamic debug")}
    region = Linked("abcd", {"a": "d"}, records=records)
    assert region.joined("b") == list("abcd")
    assert file_of(region, "b") is None


@pytest.mark.parametrize(
    ("release", "given"), [("6.12.1-amd64-cloud", "fs/a.c"), ("6.12.1-own", None)]
)
def test_a_name_of_the_table_that_does_not_fit_there_says_nothing_of_the_others(
    release: str, given: str | None
) -> None:
    """A static function of that name may be another one in a kernel that the table lacks."""
    region = Linked(["one", "first", "two", "three"], {"one": "three"})
    assert region.joined("two") == ["one", "first", "two", "three"]
    files = SourceFiles(lambda address: region, release=release, machine="x86_64", load=made)
    found = files.of_function(region, region.named("two")[0])
    assert (found and found[0]) == given


def test_an_architecture_whose_calls_are_not_known_shows_nothing() -> None:
    region = Linked("abc", {"a": "c"})
    assert region.links is not None
    assert Links(region, region.read, "s390x").around(region.functions[1]) is None


def test_missing_pages_show_nothing_and_others_stay() -> None:
    region = Linked("abc", {"a": "c"})

    def read(address: int, size: int) -> bytes | None:
        return region.read(address, size) if size <= 4096 else None

    assert Links(region, read, "x86_64").around(region.functions[1]) is not None
    assert Links(region, lambda *_: None, "x86_64").around(region.functions[1]) is None


def test_calls_that_the_kernel_wrote_are_read_from_its_table() -> None:
    start = TEXT + 0x1000
    sites = [TEXT + 4, TEXT + 0x24]
    data = b"".join(
        struct.pack("<ii", site - (start + 8 * number), 1) for number, site in enumerate(sites)
    )
    calls = StaticCalls(data + b"rest", start, "<")
    assert [at for at in range(TEXT - 8, start + 32) if at in calls] == sites
    assert None not in calls
    assert pointers(struct.pack("<QQ", 1, TEXT) + b"rest", "<") == {1, TEXT}


@settings(deadline=None, max_examples=60)
@given(st.binary(min_size=160, max_size=160), st.sampled_from(["x86_64", "aarch64"]))
def test_any_bytes_give_ranges_of_whole_functions(code: bytes, machine: str) -> None:
    region = Linked("abcdefghij", {})
    region.text = code
    found = Links(region, region.read, machine)
    for function in region.functions:
        joined = found.around(function)
        if joined is not None:
            assert joined[0] <= function.address < joined[1]
            assert {(address - TEXT) % SIZE for address in joined} == {0}
