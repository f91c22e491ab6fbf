"""``mount WHAT``: of the mounted filesystems those that something belongs to.

Facts: ``struct mount`` (mnt, mnt_devname), ``struct super_block``, ``struct dentry.d_sb``,
``struct inode.i_sb``. drgn's own ``mount`` lists all.
"""

from __future__ import annotations

from typing import Any

import drgn
from drgn.commands import CommandError

from btfdbg.commands import tables
from btfdbg.commands.crash.call import Call, private


def selected(call: Call) -> Any:
    """drgn's list, or the mounts of an address, a device or a folder."""
    words = list(call.args.crash_selector or ())
    if not words:
        return call.drgns()
    from drgn.helpers.linux.fs import for_each_mount, mount_dst, mount_fstype, mount_src

    task = private("crash_get_context")(call.prog, call.args.task)
    rows: list[tuple[Any, ...]] = [("MOUNT", "SUPERBLK", "TYPE", "DEVNAME", "DIRNAME")]
    for mount in for_each_mount(task.nsproxy.mnt_ns):
        source, folder = _text(mount_src(mount)), _text(mount_dst(mount))
        if any(_is(mount, word, source, folder) for word in words):
            rows.append((
                tables.hexadecimal(mount.value_()), tables.hexadecimal(mount.mnt.mnt_sb.value_()),
                _text(mount_fstype(mount)), source, folder,
            ))  # fmt: skip
    if len(rows) == 1:
        raise CommandError(
            f"{' '.join(words)}: no mount, superblock, device, folder, dentry or inode of a"
            " mounted filesystem; mount lists them"
        )
    tables.section(rows)
    return None


def _text(data: bytes) -> str:
    return data.decode("utf-8", "backslashreplace")


def _is(mount: drgn.Object, word: str, source: str, folder: str) -> bool:
    if word in (source, folder):
        return True
    try:
        address = int(word, 16)
    except ValueError:
        return False
    if address < 1 << 32:
        return False
    block = mount.mnt.mnt_sb.value_()
    if address in (mount.value_(), mount.mnt.address_of_().value_(), block):
        return True
    return _has_block(mount.prog_, address, block)


def _has_block(prog: drgn.Program, address: int, block: int) -> bool:
    """Whether an address is that of a dentry or inode of a superblock: of its slab cache."""
    from drgn.helpers.linux.slab import find_containing_slab_cache

    try:
        cache = find_containing_slab_cache(prog, address)
        name = cache.name.string_() if cache else b""
    except (drgn.FaultError, LookupError, ValueError):
        return False
    try:
        if name == b"dentry":
            found = drgn.Object(prog, "struct dentry *", address).d_sb.value_()
        elif b"inode" in name:
            found = drgn.Object(prog, "struct inode *", address).i_sb.value_()
        else:
            return False
    except drgn.FaultError:
        return False
    return bool(found == block)
