"""The text of a function out of a given tree: what is found, and what is never opened."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from btfdbg.errors import DebugInfoError
from btfdbg.frames.sources.browse import around, function_text, read_source

C = """\
#include <linux/fs.h>
/* foo(int a) { } */
static int foo(int);
int calls_it(void) { return foo(3); }

/**
 * foo - do it
 */
static int
foo(int a)
{
\tif (a)
\t\treturn bar("}{");
\treturn '{';
}

#ifdef CONFIG_X
int foo(int a) { return 2; }
#endif
struct ops { int (*foo)(int); };
static struct ops q = { .foo = foo, };
SYSCALL_DEFINE3(read, unsigned int, fd, char __user *, buf, size_t, count)
{
\treturn ksys_read(fd, buf, count);
}
#define MACRO(x) \\
\tint x(void) { \\
int last(void) __attribute__((cold));
int last(void)
{
\treturn 0;
}
"""


@pytest.mark.parametrize(
    ("name", "first", "lines", "others"),
    [
        ("foo", 9, 7, (18,)),
        ("foo.constprop.0", 9, 7, (18,)),
        ("calls_it", 4, 1, ()),
        ("__x64_sys_read", 22, 4, ()),
        ("__do_sys_read", 22, 4, ()),
        ("last", 29, 4, ()),
    ],
)
def test_a_definition_is_found_in_c(
    name: str, first: int, lines: int, others: tuple[int, ...]
) -> None:
    found = function_text(C, "a.c", name)
    assert found is not None
    assert (found.first, len(found.lines), found.others) == (first, lines, others)


@pytest.mark.parametrize("name", ["bar", "ksys_read", "MACRO", "x", "read", "fs", ""])
def test_calls_declarations_and_macros_are_no_definitions(name: str) -> None:
    assert function_text(C, "a.c", name) is None


def test_a_definition_is_found_in_assembly_and_rust() -> None:
    text = "\n\nSYM_FUNC_START(memcpy)\n\tret\nSYM_FUNC_END(memcpy)\n"
    found = function_text(text, "lib/memcpy.S", "memcpy")
    assert found is not None
    assert (found.first, len(found.lines)) == (3, 3)
    text = "mod a {\n    pub fn one(x: u8) -> u8 {\n        x\n    }\n}\n"
    found = function_text(text, "a.rs", "one")
    assert found is not None
    assert (found.first, len(found.lines)) == (2, 3)


def test_text_without_an_end_ends() -> None:
    assert function_text("int foo(void)\n{\n" + "{\n" * 5000, "a.c", "foo") is None
    assert function_text('int foo(void)\n{ "' + "\\" * 5000, "a.c", "foo") is None
    assert function_text("/*" * 5000, "a.c", "foo") is None


def test_lines_around_one() -> None:
    text = "\n".join(str(i) for i in range(1, 101))
    found = around(text, "a.c", 50, context=2)
    assert found is not None
    assert (found.first, found.lines) == (48, ("48", "49", "50", "51", "52"))
    assert around(text, "a.c", 101) is None
    assert around(text, "a.c", 0) is None


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    (tmp_path / "secret.c").write_text("secret")
    folder = tmp_path / "tree"
    (folder / "fs").mkdir(parents=True)
    (folder / "fs" / "inode.c").write_text("text")
    (folder / "fs" / "link.c").symlink_to("inode.c")
    (folder / "fs" / "out.c").symlink_to(tmp_path / "secret.c")
    (folder / "up").symlink_to(tmp_path)
    os.mkfifo(folder / "fs" / "pipe.c")
    return folder


@pytest.mark.parametrize("file", ["fs/inode.c", "fs/link.c"])
def test_files_of_the_tree_are_read(tree: Path, file: str) -> None:
    assert read_source(tree, file) == "text"


@pytest.mark.parametrize(
    "file",
    [
        "../secret.c",
        "fs/../../secret.c",
        "/etc/passwd",
        "fs/out.c",
        "up/secret.c",
        "fs/pipe.c",
        "fs",
        "fs/none.c",
        "",
        ".",
        "fs//inode.c",
        "./fs/inode.c",
        "fs/inode.c\0.c",
    ],
)
def test_nothing_else_is_opened(tree: Path, file: str) -> None:
    with pytest.raises(DebugInfoError) as e:
        read_source(tree, file)
    assert "\n" not in str(e.value)
    assert "secret" not in str(e.value) or "secret" in file
