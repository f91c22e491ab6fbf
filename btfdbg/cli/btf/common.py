"""What the verbs of ``btfdbg btf`` share: FILE and ``--base`` in, ``-o`` out.

Owns the choice between images and dumps, and the errors of writing.
"""

from __future__ import annotations

import os
import stat
import sys

from btfdbg.btf.btf import Btf
from btfdbg.errors import BtfError, BtfFormatError, ImageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable, Iterator, Sequence

    from btfdbg.images import BtfBlobs


# The last one only: who calls main() time and again is to keep no more.
_until_the_end: list[object] = []


def keep_until_the_end(thing: object) -> None:
    """
    Keep what takes long to take apart: the process ends first, and all at once.

    The index of a kernel's BTF takes a twentieth of a module's dedup (CPU, 15 pairs of
    ``btfdbg btf dedup NF_TABLES -B VMLINUX_BTF -o OUT`` with and without).
    """
    _until_the_end[:] = [thing]


def add_file(parser: argparse.ArgumentParser, metavar: str = "FILE") -> None:
    """Add FILE and ``--base``."""
    parser.add_argument(
        "file",
        metavar=metavar,
        help="raw BTF, ELF, module (.ko, .xz, .zst, .gz), kernel image, or a dump",
    )
    add_base(parser)


def add_base(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "-B",
        "--base",
        metavar="FILE",
        action="append",
        default=[],
        help="what FILE is split on top of; repeat for each further level",
    )
    add_force(parser)


def add_force(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--force", action="store_true", help="take a base that is not the file's own all the same"
    )


def add_output(parser: argparse.ArgumentParser, required: bool = True) -> None:
    parser.add_argument("-o", "--output", metavar="OUT", required=required, help="file to write")


def open_btf(
    path: str, base: Btf | None = None, *, force: bool = False, again: bool = False
) -> Btf:
    """
    Open FILE, whatever it is.

    :param base: What it is split on top of; what speaks against that is an error.
    :param force: Take any base.
    :param again: It is one that is opened time and again, as bases are.
    :raises BtfdbgError: it cannot be used; the message names it.
    """
    found = read_btf(path)
    return found if isinstance(found, Btf) else parse_read(path, found, base, force, again)


def read_btf(path: str) -> Btf | BtfBlobs:
    """
    Read FILE: the bytes in it, or the types of a dump.

    :raises BtfdbgError: it cannot be used; the message names it.
    """
    from btfdbg import images

    if images.is_dump(images.read_head(path)):
        from btfdbg.program.open import btf_of_core

        return btf_of_core(path)
    return images.read_blobs(path)


def parse_read(
    path: str, blobs: BtfBlobs, base: Btf | None = None, force: bool = False, again: bool = False
) -> Btf:
    """Parse what :func:`read_btf` read; see :func:`open_btf`."""
    from btfdbg import images

    try:
        if again and base is None and blobs.base is None:
            from btfdbg.cli.btf import remembered

            return remembered.parse(blobs.btf)
        btf = images.parse_blobs(blobs, base)
    except BtfFormatError as error:
        raise BtfFormatError(
            f"{path}: {error}", offset=error.offset, type_id=error.type_id
        ) from None
    if not force:
        require_own_base(path, btf, base)
    return btf


def require_own_base(path: str, btf: Btf, base: Btf | None) -> None:
    """
    Make sure that nothing speaks against a base that was given for FILE.

    One that came with FILE, or that it was relocated onto, needs no evidence.

    :raises BtfFormatError: something does; ``--force`` takes it all the same.
    """
    if base is None or btf.base is not base:
        return
    from btfdbg.btf.base_match import contradiction

    problem = contradiction(btf)
    if problem:
        raise wrong_base(path, problem)


def wrong_base(path: str, problem: str) -> BtfFormatError:
    """Make the error of a base that is not a file's own."""
    return BtfFormatError(
        f"{path}: the base given is not its own: {problem} (--force takes it all the same)"
    )


def read_file(path: str, base: Btf | None = None) -> tuple[memoryview | bytes, Btf | None]:
    """
    Return the bytes of FILE's BTF, not looked at yet, and what they are split on top of.

    A module's own distilled base goes before ``base``.
    """
    found = read_btf(path)
    if isinstance(found, Btf):
        return found.raw, found.base
    return found.btf, base if found.base is None else Btf.parse(found.base)


def open_base(paths: Sequence[str], *, force: bool = False) -> Btf | None:
    """Open the files of ``--base``, each on top of the one before."""
    base = None
    for path in paths:
        base = open_btf(path, base, force=force, again=True)
    return base


def open_args(args: argparse.Namespace) -> Btf:
    """Open what :func:`add_file` added."""
    return open_btf(args.file, open_base(args.base, force=args.force), force=args.force)


def read_bytes(path: str) -> bytes:
    """
    Return the bytes of a file.

    :raises ImageError: it cannot be read.
    """
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError as error:
        raise ImageError(f"{path}: {error.strerror}") from None


def write_out(path: str | None, data: bytes | Iterable[bytes | memoryview]) -> None:
    """
    Write to a file, or to stdout for ``None`` and ``"-"``.

    A file that cannot be written to its end is not left behind; a device or pipe stays.

    :raises ImageError: it cannot be written.
    """
    chunks = (data,) if isinstance(data, bytes) else data
    if path is None or path == "-":
        for chunk in chunks:
            sys.stdout.buffer.write(chunk)
        sys.stdout.buffer.flush()
        return
    opened = False
    try:
        with open(path, "wb") as file:
            opened = stat.S_ISREG(os.fstat(file.fileno()).st_mode)
            for chunk in chunks:
                file.write(chunk)
    except (OSError, BtfError) as error:
        # Only what was begun here: one that may not be written is somebody's.
        if opened:
            try:
                os.unlink(path)
            except OSError:
                pass  # gone already, or the folder may not be written
        if isinstance(error, OSError):
            raise ImageError(f"{path}: {error.strerror}") from None
        raise


def write_text(path: str | None, chunks: Iterable[str]) -> None:
    """Write text as :func:`write_out`; names keep the bytes they have in the BTF."""
    write_out(path, encoded(chunks))


def encoded(chunks: Iterable[str]) -> Iterator[bytes]:
    """Return text as it is written, names with the bytes they have in the BTF."""
    return (chunk.encode("utf-8", "surrogateescape") for chunk in chunks)
