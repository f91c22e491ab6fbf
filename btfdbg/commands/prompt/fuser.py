"""``fuser``: which tasks use a file."""

from __future__ import annotations

import argparse
from collections.abc import Iterator

import drgn
from drgn.commands import CommandError, argument

from btfdbg.commands.define import prompt_command
from btfdbg.commands.text import Table
from btfdbg.program.session import Session


@prompt_command(
    name="fuser",
    description="tasks that use a file",
    long_description="""
    List the tasks that have a file open, mapped, or as working or root directory. The file
    is named by its full path or by the address of its struct inode. A path is that of the
    dentry: it needs not be mounted where the current task sees it.
    """,
    arguments=(argument("file", help="path, or hexadecimal address of a struct inode"),),
    examples=(("fuser /dev/console", "who has it open"),),
    table=True,
)
def fuser(session: Session, args: argparse.Namespace) -> Table:
    """Run the command."""
    from drgn.helpers.linux.pid import for_each_task

    wanted: int | bytes
    try:
        wanted = int(args.file, 16)
    except ValueError:
        wanted = args.file.encode()
        if not args.file.startswith("/"):
            raise CommandError(f"{args.file}: neither a full path nor an address") from None
    table = Table(("pid", "task", "comm", "usage"), formats={"task": "x"})
    names: dict[int, bytes] = {}
    for task in for_each_task(session.prog):
        usage = sorted(set(_usage(task, wanted, names)))
        if usage:
            comm = task.comm.string_().decode("utf-8", "backslashreplace")
            table.rows.append((task.pid.value_(), task.value_(), comm, " ".join(usage)))
    if not table.rows:
        raise CommandError(f"{args.file}: no task has it open, mapped, or as its directory")
    return table


def _usage(task: drgn.Object, wanted: int | bytes, names: dict[int, bytes]) -> Iterator[str]:
    from drgn.helpers.linux.fs import for_each_file
    from drgn.helpers.linux.mm import for_each_vma

    try:
        fs = task.fs.read_()
        if fs:
            for name, path in (("root", fs.root), ("cwd", fs.pwd)):
                if _is(path, wanted, names):
                    yield name
        if task.files.read_():
            for _, file in for_each_file(task):
                if _is(file.f_path, wanted, names):
                    yield "fd"
        mm = task.mm.read_()
        if mm:
            for vma in for_each_vma(mm):
                file = vma.vm_file.read_()
                if file and _is(file.f_path, wanted, names):
                    yield "mmap"
    except drgn.FaultError:
        return


def _is(path: drgn.Object, wanted: int | bytes, names: dict[int, bytes]) -> bool:
    """Whether a struct path is of the file; names are kept by dentry and mount."""
    dentry = path.dentry.read_()
    if not dentry:
        return False
    if isinstance(wanted, int):
        return bool(dentry.d_inode.value_() == wanted)
    from drgn.helpers.linux.fs import d_path

    key = dentry.value_() ^ path.mnt.value_() << 1
    if key not in names:
        try:
            names[key] = d_path(path)
        except (drgn.FaultError, ValueError):
            names[key] = b""
    return names[key] == wanted
