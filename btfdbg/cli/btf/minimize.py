"""``btfdbg btf minimize``: what BPF objects need of a kernel's BTF, and no more.

OUT serves as the kernel's BTF for the objects' CO-RE relocations. With modules, OUT is
a directory: it gets the kernel's minimal BTF as `vmlinux` and each module's, on top of
that, under the module's name. --flat makes one BTF of all.
"""

from __future__ import annotations

import os
import sys

from btfdbg.btf.btf import Btf
from btfdbg.btf.btfext import BtfExt, CoreKind, CoreRelo, parse_ext
from btfdbg.btf.minimize import flatten, minimize
from btfdbg.cli.btf.common import add_force, add_output, open_btf, read_bytes, write_out
from btfdbg.errors import ImageError
from btfdbg.images import elf

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse


# Questions to which "no" is an answer.
_CHECKS = frozenset(
    {
        CoreKind.FIELD_EXISTS,
        CoreKind.TYPE_EXISTS,
        CoreKind.ENUMVAL_EXISTS,
        CoreKind.TYPE_MATCHES,
    }
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("kernel", metavar="KERNEL", help="the kernel's BTF, in any file")
    parser.add_argument(
        "modules", metavar="MODULE", nargs="*", default=[], help="modules of that kernel"
    )
    parser.add_argument(
        "--object",
        metavar="OBJ",
        action="append",
        required=True,
        help="BPF object with .BTF.ext; may be repeated",
    )
    add_force(parser)
    parser.add_argument("--flat", action="store_true", help="one BTF without a base")
    add_output(parser)


def _object(path: str) -> tuple[Btf, BtfExt]:
    found = elf.sections(read_bytes(path), (".BTF", ".BTF.ext"))
    if ".BTF" not in found or ".BTF.ext" not in found:
        raise ImageError(f"{path}: no BPF object, it has no .BTF or no .BTF.ext")
    btf = Btf.parse(found[".BTF"])
    return btf, parse_ext(found[".BTF.ext"], btf)


def _said(relo: CoreRelo, what: str) -> str:
    if relo.kind in _CHECKS:
        # The program goes on without it, on kernels of which this is one.
        return (
            f"{what} does not exist here, as the program asks ({relo.kind.name}): nothing to keep"
        )
    return f"{what} does not exist here, but the program needs it ({relo.kind.name})"


def run(args: argparse.Namespace) -> int:
    kernel = open_btf(args.kernel)
    modules = [open_btf(path, kernel, force=args.force) for path in args.modules]
    objects = [_object(path) for path in args.object]
    out = minimize(kernel, objects, modules)
    for relo, what in zip(out.unmatched, out.unmatched_names, strict=True):
        print(f"btfdbg: {relo.section}+{relo.insn_off:#x}: {_said(relo, what)}", file=sys.stderr)
    if args.flat or not modules:
        flat = flatten(out.kernel, out.modules) if modules else out.kernel
        write_out(args.output, bytes(flat.raw))
        return 0
    try:
        os.makedirs(args.output, exist_ok=True)
    except OSError as error:
        raise ImageError(f"{args.output}: {error.strerror}") from None
    write_out(os.path.join(args.output, "vmlinux"), bytes(out.kernel.raw))
    for path, module in zip(args.modules, out.modules, strict=True):
        name = os.path.basename(path).partition(".")[0]
        write_out(os.path.join(args.output, name), bytes(module.raw))
    return 0
