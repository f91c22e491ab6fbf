"""Relocating and minimising what is random, against libbpf and bpftool.

The environment is that of test_tools_oracle.py.
"""

from __future__ import annotations

import random
import subprocess
from pathlib import Path

import pytest

from btfdbg.btf import Btf, Builder
from btfdbg.btf.btfext import parse_ext
from btfdbg.btf.minimize import minimize
from btfdbg.btf.relocate import relocate
from btfdbg.btf.text import assemble, rawtext
from btfdbg.errors import BtfError
from tests.images.elves import elf

from .test_minimize import _ext, _info
from .test_tools_oracle import Libbpf, command, libbpf

__all__ = ["libbpf"]  # a fixture

pytestmark = pytest.mark.oracle

SEEDS = range(8)
EACH = 40


def _named(rng: random.Random, names: str, int_id: int) -> str:
    """Return a type of a distilled base, or with ``int_id`` one of a kernel."""
    name, size = rng.choice(names), rng.choice((4, 8))
    kinds = ("INT", "FLOAT", "STRUCT", "STRUCT", "UNION", "ENUM", "FWD", "ENUM64")
    kind = rng.choice(kinds if int_id else kinds[:-1])
    match kind:
        case "INT":
            width, sign = rng.choice((8 * size, 8 * size, 7)), rng.choice(("SIGNED", "(none)"))
            return f"INT '{name}' size={size} bits_offset=0 nr_bits={width} encoding={sign}\n"
        case "FLOAT":
            return f"FLOAT '{name}' size={size}\n"
        case "STRUCT" | "UNION":
            if not int_id or rng.random() < 0.4:
                return f"{kind} '{name}' size={size} vlen=0\n"
            bits = " bitfield_size=3" if rng.random() < 0.4 else ""
            member = f"\t'm' type_id={int_id} bits_offset=0{bits}\n"
            return f"{kind} '{name}' size={size} vlen=1\n{member}"
        case "FWD":
            return f"FWD '{name}' fwd_kind={rng.choice(('struct', 'union'))}\n"
        case _:
            return f"{kind} '{name}' encoding=UNSIGNED size={size} vlen=0\n"


def _user(rng: random.Random, names: str, limit: int) -> str:
    """Return a type of a module that refers to ids below ``limit``."""
    a, b, name = rng.randrange(limit), rng.randrange(limit), rng.choice(names)
    return rng.choice(
        (
            f"PTR '(anon)' type_id={a}\n",
            f"STRUCT '{name}' size=64 vlen=2\n\t'm' type_id={a} bits_offset=0\n"
            f"\t'{name}' type_id={b} bits_offset=256\n",
            f"UNION '(anon)' size=64 vlen=1\n\t'm' type_id={a} bits_offset=0\n",
            f"TYPEDEF '{name}' type_id={a}\n",
            f"ARRAY '(anon)' type_id={a} index_type_id={b} nr_elems=3\n",
            f"CONST '(anon)' type_id={a}\n",
            f"TYPE_TAG '{name}' type_id={a}\n",
            f"FUNC_PROTO '(anon)' ret_type_id={a} vlen=1\n\t'{name}' type_id={b}\n",
        )
    )


def _text(types: list[str], start: int = 1) -> str:
    return "".join(f"[{number}] {line}" for number, line in enumerate(types, start))


@pytest.mark.parametrize("seed", SEEDS)
def test_libbpf_relocates_likewise(libbpf: Libbpf, seed: int) -> None:
    rng = random.Random(seed)
    done = 0
    for _ in range(EACH):
        names = "fgh"[: rng.randrange(1, 4)]
        below = assemble.parse(_text([_named(rng, names, 0) for _ in range(rng.randrange(1, 4))]))
        first = below.type_cnt
        own = [_user(rng, names + "s", first + n) for n in range(rng.randrange(1, 5))]
        split = assemble.parse(_text(own, first), below)
        count = rng.randrange(1, 8)
        types = [_named(rng, names, count + 1) for _ in range(count)]
        target = assemble.parse(_text([*types, "INT 'int' size=4 encoding=SIGNED\n"]))
        theirs = libbpf("relocate", target, split, below)
        try:
            ours = relocate(split, target, "libbpf")
        except BtfError:
            assert theirs is None
        else:
            assert theirs is not None
            assert rawtext.dumps(Btf.parse(theirs[0], target)) == rawtext.dumps(ours)
            done += 1
    assert done


def _struct(rng: random.Random, name: str, types: list[int], exact: bool) -> str:
    members = rng.sample("abcd", rng.randrange(1, 4))
    rows = "".join(
        f"\t'{member}' type_id={rng.choice(types)} bits_offset={64 * at}\n"
        for at, member in enumerate(members)
    )
    flavour = "" if exact else rng.choice(("", "___x", "___y"))
    return f"STRUCT '{name}{flavour}' size=64 vlen={len(members)}\n{rows}"


def _program(rng: random.Random, exact: bool) -> Btf:
    """Return a few structs of an object, or of a kernel (``exact``), 5 to 7 by id."""
    types = [
        "INT 'int' size=4 encoding=SIGNED\n",
        "PTR '(anon)' type_id=5\n",
        f"ARRAY '(anon)' type_id=5 index_type_id=1 nr_elems={rng.choice((0, 1, 3))}\n",
        f"ENUM 'e' encoding=UNSIGNED size=4 vlen=1\n\t'{rng.choice('AB')}' val=1\n",
        _struct(rng, "s", [1, 2, 4], exact),
    ]
    types.append(_struct(rng, "t", [1, 2, 3, 4, 5], exact))
    types.append(_struct(rng, "u", [1, 3, 5, 6], exact))
    return assemble.parse(_text(types))


@pytest.mark.parametrize("seed", SEEDS)
def test_bpftool_minimises_likewise(seed: int, tmp_path: Path) -> None:
    bpftool = command("BTFDBG_BPFTOOL")
    rng = random.Random(seed)
    kernel_file, object_file, out = (tmp_path / name for name in ("k", "o.o", "out"))
    compared = 0
    for _ in range(EACH):
        kernel, local = _program(rng, True), _program(rng, False)
        builder = Builder.like(local)
        section = builder.strings.add("sec")
        relos = []
        for number in range(rng.randrange(1, 4)):
            access = rng.choice(("0", "0:0", "0:1", "0:0:0", "0:1:0", "0:0:1", "0:0:0:0"))
            kind = rng.choice((0, 1, 2))
            if rng.random() < 0.3:
                kind, access = rng.choice((7, 8, 9, 12)), "0"
            word = builder.strings.add(access)
            relos.append((8 * number, rng.randrange(5, 8), word, kind))
        own = builder.to_btf()
        ext = _ext(
            "little", _info("little", section, (0, 1)), b"", _info("little", section, *relos)
        )
        kernel_file.write_bytes(kernel.raw)
        object_file.write_bytes(elf({".BTF": bytes(own.raw), ".BTF.ext": ext}))
        done = subprocess.run(
            [*bpftool, "gen", "min_core_btf", kernel_file, out, object_file],
            capture_output=True, check=False,
        )  # fmt: skip
        try:
            ours = minimize(kernel, [(own, parse_ext(ext, own))]).kernel
        except BtfError:
            assert done.returncode != 0
            continue
        if done.returncode:
            continue  # it also computes values, of which some make no sense
        theirs = rawtext.dumps(Btf.parse(out.read_bytes()))
        if theirs != rawtext.dumps(ours):
            # Where more is kept, the loader must not find other things in it.
            kernel_file.write_bytes(ours.raw)
            subprocess.run([*bpftool, "gen", "min_core_btf", kernel_file, out, object_file],
                           capture_output=True, check=True)  # fmt: skip
            assert rawtext.dumps(Btf.parse(out.read_bytes())) == theirs
        compared += 1
    assert compared
