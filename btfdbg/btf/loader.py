"""What a loader makes of a BPF object's BTF before the kernel sees it.

Owns the steps that libbpf takes with every object: sizes and offsets that only the ELF
file has go into DATASECs, and externs become what the kernel has a word for. Knows no ELF;
``images.elf`` reads it.

Ids and the places of records stay, so that what is said of the result is true of the file.
A type that externs are given, where the object has none of its own, is added at the end.
Facts: libbpf's btf_fixup_datasec, bpf_object__collect_externs and find_int_btf_id.
"""

from __future__ import annotations

from array import array

from btfdbg.btf.btf import Btf
from btfdbg.btf.fields import INFO, SIZE_OR_TYPE, int_fields
from btfdbg.btf.layouts import (
    DATASEC,
    FUNC,
    FUNC_PROTO,
    INT,
    TYPE_WORDS,
    VAR,
    info_kind,
    info_vlen,
    make_info,
)
from btfdbg.btf.pack import pack_like
from btfdbg.errors import BtfError
from btfdbg.lazy_dataclass import dataclass

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

_GLOBAL, _EXTERN = 1, 2
_SECINFO_WORDS = 3
_LINKAGE = TYPE_WORDS  # the word of a VAR
_INT_SIZE = 4
_M32 = 0xFFFFFFFF


@dataclass(frozen=True, slots=True)
class ElfFacts:
    """
    What of an ELF object its BTF needs.

    :ivar sections: Size in bytes by name; the first of a name.
    :ivar symbols: Value of each defined data symbol, its offset in bytes into its section.
    """

    sections: Mapping[str, int]
    symbols: Mapping[str, int]


def as_loaded(btf: Btf, elf: ElfFacts) -> bytes:
    """
    Return the BTF that libbpf would give to the kernel.

    What it could not load (a section that is not in the file, an extern in no section that
    has them) stays as it is.

    :param btf: A BPF object's, not split.
    """
    return _Loader(btf, elf).run()


def unlinked(btf: Btf) -> list[str]:
    """
    Return the names of externs that only another object can have, in the order of their types.

    Those of the kernel stand in the sections ``.ksyms`` and ``.kconfig``; a linker resolves the
    others, and before that no loader takes the object.
    """
    kernels: set[int] = set()
    externs: list[int] = []
    for type_id, kind in zip(btf.own_ids(), btf.own_kinds(), strict=True):
        words = btf.record(type_id)
        if kind == DATASEC and btf.name_of(type_id) in (".ksyms", ".kconfig"):
            kernels.update(words[TYPE_WORDS::_SECINFO_WORDS])
        elif (kind == VAR and words[_LINKAGE] == _EXTERN) or (
            kind == FUNC and info_vlen(words[INFO]) == _EXTERN
        ):
            externs.append(type_id)
    return [btf.name_of(type_id) for type_id in externs if type_id not in kernels]


class _Loader:
    def __init__(self, btf: Btf, elf: ElfFacts) -> None:
        self.btf = btf
        self.elf = elf
        self.words = array("I", btf.words)
        self.added: list[int] = []
        self.next_id = btf.type_cnt

    def run(self) -> bytes:
        for type_id, kind in zip(self.btf.own_ids(), self.btf.own_kinds(), strict=True):
            if kind == DATASEC:
                try:
                    self.section(type_id)
                except BtfError:
                    continue  # its name or types do not exist: the rules say so
        self.words.extend(self.added)
        return pack_like(self.btf, self.words)

    def at(self, type_id: int) -> int:
        """Return the word at which a type's record starts; errors as ``owner_of``."""
        self.btf.owner_of(type_id)
        return self.btf.offsets[type_id - self.btf.start_id]

    def kind(self, type_id: int) -> int:
        return info_kind(self.words[self.at(type_id) + INFO])

    def section(self, type_id: int) -> None:
        """Fill one DATASEC in and sort it."""
        words, pos = self.words, self.at(type_id)
        name = self.btf.name_of(type_id)
        first = pos + TYPE_WORDS
        count = info_vlen(words[pos + INFO])
        rows = [
            words[at : at + _SECINFO_WORDS].tolist()
            for at in range(first, first + _SECINFO_WORDS * count, _SECINFO_WORDS)
        ]
        if name == ".ksyms":
            words[pos + SIZE_OR_TYPE] = self.ksyms(rows)
        elif name == ".kconfig":
            words[pos + SIZE_OR_TYPE] = self.kconfig(rows)
        elif not words[pos + SIZE_OR_TYPE] and self.elf.sections.get(name):
            words[pos + SIZE_OR_TYPE] = self.elf.sections[name]
            self.variables(rows)
        rows.sort(key=lambda row: row[1])
        for at, row in zip(range(first, first + _SECINFO_WORDS * count, 3), rows, strict=True):
            words[at : at + _SECINFO_WORDS] = array("I", row)

    def variables(self, rows: list[list[int]]) -> None:
        """Take offsets from the symbols; those of static variables stand in the BTF."""
        for row in rows:
            pos = self.at(row[0])
            if self.kind(row[0]) == VAR and self.words[pos + _LINKAGE] == _GLOBAL:
                row[1] = self.elf.symbols.get(self.btf.name_of(row[0]), row[1])

    def kconfig(self, rows: list[list[int]]) -> int:
        """Lay out values of the kernel's configuration; return how many bytes they take."""
        # Largest alignment first, then size, as bpf_object__collect_externs sorts them.
        rows.sort(key=lambda row: (-self.btf.align_of(row[0]), -row[2], self.btf.name_of(row[0])))
        end = 0
        for row in rows:
            align = self.btf.align_of(row[0])
            row[1] = -(-end // align) * align
            end = row[1] + row[2]
            if end > _M32:
                raise BtfError("configuration values are larger than a section can be")
            if self.kind(row[0]) == VAR:
                self.words[self.at(row[0]) + _LINKAGE] = _GLOBAL
        return end

    def ksyms(self, rows: list[list[int]]) -> int:
        """Make every symbol of the kernel an ``int``; return how many bytes they take."""
        int_id = self.int_id()
        dummy = 0
        for number, row in enumerate(rows):
            pos = self.at(row[0])
            if self.kind(row[0]) == FUNC:
                self.words[pos + INFO] = make_info(FUNC, _GLOBAL)
                dummy = dummy or self.add(self.words[pos], VAR, int_id, _GLOBAL)
                self.name_parameters(self.words[pos + SIZE_OR_TYPE], self.words[pos])
                row[0] = dummy
            elif self.kind(row[0]) == VAR:
                self.words[pos + SIZE_OR_TYPE] = int_id
                self.words[pos + _LINKAGE] = _GLOBAL
            row[1:] = [_INT_SIZE * number, _INT_SIZE]
        return _INT_SIZE * len(rows)

    def name_parameters(self, proto: int, name_off: int) -> None:
        """Give the parameters of a FUNC_PROTO that have no name one, as the kernel wants it."""
        pos = self.at(proto)
        if self.kind(proto) != FUNC_PROTO:
            return
        first = pos + TYPE_WORDS
        for at in range(first, first + 2 * info_vlen(self.words[pos + INFO]), 2):
            if not self.words[at] and self.words[at + 1]:
                self.words[at] = name_off

    def int_id(self) -> int:
        """Return the first INT of 4 bytes, made if there is none."""
        for type_id, kind in zip(self.btf.own_ids(), self.btf.own_kinds(), strict=True):
            if kind == INT:
                pos = self.at(type_id)
                bits = int_fields(self.words[pos + TYPE_WORDS])[0]
                if (self.words[pos + SIZE_OR_TYPE], bits) == (_INT_SIZE, 8 * _INT_SIZE):
                    return type_id
        return self.add(0, INT, _INT_SIZE, 1 << 24 | 8 * _INT_SIZE)

    def add(self, name_off: int, kind: int, third: int, word: int) -> int:
        """Add a type at the end."""
        self.added += [name_off, make_info(kind), third, word]
        self.next_id += 1
        return self.next_id - 1
