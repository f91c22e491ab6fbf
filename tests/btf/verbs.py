"""Every verb of the BTF library as a function of one parsed BTF, for data that may be damaged.

Used by both fuzzers and by the tests of damaged BTF. A verb must come to an end, with a
result or with a BtfError that is one line; what can be checked of the result at little
cost is checked.
"""

from __future__ import annotations

import random
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final, Literal

from btfdbg.btf import Btf
from btfdbg.btf.btfext import BtfExt, CoreKind, CoreRelo, parse_ext
from btfdbg.btf.builder import Builder
from btfdbg.btf.cheader.header import dump_c
from btfdbg.btf.cheader.text import Texts
from btfdbg.btf.core_relo import ENUM_KINDS, TYPE_KINDS
from btfdbg.btf.dedup.dedup import dedup
from btfdbg.btf.diff import diff
from btfdbg.btf.distill import distill_base
from btfdbg.btf.downlevel import downlevel, features_of
from btfdbg.btf.find import find
from btfdbg.btf.fingerprint import Fingerprints
from btfdbg.btf.format import COMPOSITES, Kind
from btfdbg.btf.holes import as_text, holes
from btfdbg.btf.merge import merge, rebase
from btfdbg.btf.minimize import flatten, minimize
from btfdbg.btf.order import named_start_id, sort_by_name
from btfdbg.btf.pack import pack_like, with_byteorder
from btfdbg.btf.relocate import relocate
from btfdbg.btf.text import rawtext
from btfdbg.btf.text.assemble import assemble
from btfdbg.btf.text.isf import to_isf
from btfdbg.btf.text.jsondump import dump_json, load_json
from btfdbg.btf.validate.validate import check
from btfdbg.errors import BtfError, BtfFormatError, BtfNotFoundError

_COMPAT: Final[tuple[Literal["strict", "libbpf"], ...]] = ("strict", "libbpf")
#: Types looked at one by one per blob; real ones have a hundred thousand.
FEW = 300


@dataclass(frozen=True, slots=True)
class Case:
    """
    One damaged BTF and what goes with it.

    :ivar btf: The damaged one.
    :ivar good: An undamaged one, to compare with and to put on top of each other.
    :ivar rng: For choices that a verb needs; seeded, so that a failure comes back.
    """

    btf: Btf
    good: Btf
    rng: random.Random

    def split(self) -> Btf:
        """Return a split BTF in which the damage is above or below the good one."""
        if self.btf.base is not None:
            return self.btf
        first, second = (self.btf, self.good) if self.rng.random() < 0.5 else (self.good, self.btf)
        return Btf.parse(second.raw, first)


def _read(case: Case) -> None:
    btf = case.btf
    for type_id in islice(btf.own_ids(), FEW):
        for ask in (
            btf.record,
            btf.type_by_id,
            btf.resolve_size,
            btf.align_of,
            btf.skip_modifiers,
            btf.skip_mods_and_typedefs,
            btf.iter_type_refs,
            lambda i: btf.types_by_name(btf.name_of(i)),
            lambda i: btf.offset_of(i, "a.b"),
            lambda i: btf.member_at(i, 1),
        ):
            try:
                ask(type_id)
            except (BtfFormatError, BtfNotFoundError):
                pass


def _raw(case: Case) -> None:
    btf = case.btf
    text = rawtext.dumps(btf, exact=True)
    again = Btf.parse(assemble(text, btf.base), btf.base)
    assert again.words == btf.words
    assert again.strings.data == btf.strings.data


def _json(case: Case) -> None:
    btf = case.btf
    again = Btf.parse(load_json("".join(dump_json(btf)), btf.base), btf.base)
    assert len(again.words) == len(btf.words)


def _check(case: Case) -> None:
    basic = [*check(case.btf.raw, case.btf.base, "basic")]
    strict = [*check(case.btf.raw, case.btf.base, "strict")]
    assert strict or not basic


def _convert(case: Case) -> None:
    btf = case.btf
    named_start_id(btf)
    downlevel(btf, features_of(case.rng.choice(("4.18", "5.10", "6.1", "6.12"))))
    sort_by_name(btf)
    with_byteorder(btf, "big")
    assert Btf.parse(Builder.like(btf).build(), btf.base).words == btf.words


def _dedup(case: Case) -> None:
    once = dedup(case.btf)
    assert dedup(once).raw == once.raw


def _dedup_split(case: Case) -> None:
    once = dedup(case.split())
    assert dedup(once).raw == once.raw


def _distill(case: Case) -> None:
    base, split = distill_base(case.split())
    assert not base.start_str_off
    assert split.start_id == base.type_cnt


def _relocate(case: Case) -> None:
    split = case.split()
    target = split.base
    assert target is not None
    onto = case.good if case.rng.random() < 0.5 else target
    # As if its base were a distilled one, and after distilling it.
    for source in (Btf.parse(split.raw, target), distill_base(split)[1]):
        for compat in _COMPAT:
            try:
                moved = relocate(source, onto, compat)
            except BtfError:
                continue
            assert len(moved.offsets) == len(source.offsets)


def _merge(case: Case) -> None:
    parts = [case.btf, case.btf if case.btf.base is not None else case.good]
    merge(parts)


def _relos(btf: Btf, rng: random.Random) -> list[BtfExt]:
    """Return relocations one by one: one that fits no type is an error for all."""
    paths = ("0", "0", "0:0", "0:0", "0:1", "0:2:0", "1:0", "0:0:0:1", "", "0:x", "0:99", "-1")
    kinds = [btf.kind_of(type_id) for type_id in range(btf.type_cnt)]
    of_kind = {
        True: [t for t, kind in enumerate(kinds) if kind in (Kind.ENUM, Kind.ENUM64)],
        False: [t for t, kind in enumerate(kinds) if kind in COMPOSITES],
    }
    out = []
    for n in range(4):
        kind = CoreKind(rng.randrange(13))
        access = "0" if kind in TYPE_KINDS and rng.random() < 0.9 else rng.choice(paths)
        likely = of_kind[kind in ENUM_KINDS]
        ids = likely if likely and rng.random() < 0.8 else range(btf.type_cnt + 1)
        out.append(BtfExt("little", (), (), (CoreRelo("s", 8 * n, rng.choice(ids), access, kind),)))
    return out


def _minimize_each(kernel: Btf, local: Btf, relos: list[BtfExt], modules: Sequence[Btf]) -> None:
    """Minimise for each relocation, and once more what is left."""
    errors = 0
    for relo in relos:
        try:
            small = minimize(kernel, [(local, relo)], modules)
            minimize(small.kernel, [(local, relo)], small.modules)
        except BtfError:
            errors += 1
    if errors == len(relos):
        raise BtfError("no relocation fits")


def _minimize(case: Case) -> None:
    btf, good, rng = case.btf, case.good, case.rng
    modules = [] if btf.base is None else [btf]
    _minimize_each(btf.base or btf, good, _relos(good, rng), modules)


def _minimize_with(case: Case) -> None:
    _minimize_each(case.good, case.btf, _relos(case.btf, case.rng), ())


def _ext(case: Case) -> None:
    rng, btf = case.rng, case.btf
    # With one more string, which an access can be.
    local = Btf.parse(pack_like(btf, btf.words, btf.strings.data + b"0\0"), btf.base)
    access = local.end_str_off - 2 if rng.random() < 0.9 else rng.randrange(4)
    root, kind = rng.randrange(case.btf.type_cnt), rng.randrange(13)
    header = [32, 0, 20, 20, 28, 48, 28]
    funcs = [8, 0, 1, 0, root]
    lines = [16, 0, 1, 0, 0, 0, 0x401]
    words = [*header, *funcs, *lines, 16, 0, 1, 8, root, access, kind]
    if rng.random() < 0.7:
        words[rng.randrange(len(words))] = rng.choice((0, 1, 4, 8, 24, 0xFFFFFFFF))
    data = struct.pack(f"<HBB{len(words)}I", 0xEB9F, 1, 0, *words)
    minimize(case.good, [(local, parse_ext(data, local))])


def _holes(case: Case) -> None:
    texts = Texts(case.btf)
    for type_id in islice(case.btf.own_ids(), FEW):
        if case.btf.kind_of(type_id) in COMPOSITES:
            sum(1 for _ in as_text(holes(texts, type_id)))


def _fingerprint(case: Case) -> None:
    prints = Fingerprints(case.btf)
    for type_id in islice(case.btf.own_ids(), FEW):
        prints.deep(type_id)
        prints.layout(type_id)


#: By the name under which executions are counted.
VERBS: dict[str, Callable[[Case], object]] = {
    "read": _read,
    "raw, assemble": _raw,
    "json, assemble": _json,
    "check": _check,
    "convert": _convert,
    "c": lambda case: sum(map(len, dump_c(case.btf, assertions=True))),
    "dedup": _dedup,
    "dedup on a base": _dedup_split,
    "distill": _distill,
    "relocate": _relocate,
    "rebase": lambda case: rebase(case.split(), case.good),
    "merge": _merge,
    "minimize": _minimize,
    "minimize with": _minimize_with,
    "minimize, .BTF.ext": _ext,
    "flatten": lambda case: flatten(
        case.btf.base or case.btf, [case.btf] if case.btf.base is not None else []
    ),
    "diff": lambda case: diff(case.btf, case.good),
    "find": lambda case: find(case.btf, "*", member="a*"),
    "holes": _holes,
    "fingerprint": _fingerprint,
    "isf": lambda case: to_isf(case.btf),
}


def exercise_verbs(btf: Btf, good: Btf | None = None, seed: int = 0) -> None:
    """
    Put a parsed BTF through every verb.

    :param good: What it is compared with and put together with; by default itself.
    :raises Exception: anything but the errors that a verb may end in.
    """
    for run in VERBS.values():
        try:
            run(Case(btf, good or btf.base or btf, random.Random(seed)))
        except BtfError:
            pass
