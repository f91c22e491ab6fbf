"""Code whose name has a compiler's ending: ``schedule.cold``, ``__mutex_lock.constprop.0``.

Owns saying what such code is: part or copy of which function, and why it has no prototype. Which
copies a function has is ``untyped``'s.

Facts: GCC, "Options That Control Optimization": ``-freorder-blocks-and-partition`` (``.cold``),
``-fpartial-inlining`` (``.part``), ``-fipa-cp-clone`` (``.constprop``), ``-fipa-sra`` (``.isra``);
LLVM renames what ThinLTO makes global (``.llvm.HASH``). The endings are in the order of the
changes: ``foo.part.0.cold`` is the cold part of ``foo.part.0``. pahole describes functions under
their names in the source, if all their copies take the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import drgn

from btfdbg.btf import Kind
from btfdbg.kallsyms.choice import is_text, own_ids
from btfdbg.lazy_dataclass import dataclass
from btfdbg.lazy_pattern import pattern

if TYPE_CHECKING:
    from btfdbg.kallsyms import Sym
    from btfdbg.program.session import Session

_MAX_NAME = 512
_ENDING = pattern(r"(?P<of>[A-Za-z_][\w.$]*?)\.(?P<how>cold|part|constprop|isra|lto_priv|llvm)\b.*")
_LAST = pattern(
    r"(?P<of>[A-Za-z_][\w.$]*)\.(?P<how>cold|(?:part|constprop|isra|lto_priv|llvm)\.\d+)"
)
_HOW = {
    "cold": ("the unlikely part of {}", "it is jumped to and never called"),
    "part": ("a part of {} that was split off", "it takes what that part uses"),
    "constprop": (
        "a copy of {} for arguments that are always the same",
        "those are not passed to it, and others may move",
    ),
    "isra": (
        "a copy of {} that takes less",
        "unused arguments are gone, and values passed for pointers",
    ),
    "lto_priv": ("{} as LTO renamed it", "what it takes may differ"),
    "llvm": ("{} as ThinLTO renamed it", "what it takes may differ"),
}


@dataclass(frozen=True, slots=True)
class Changed:
    """
    Code that a compiler made of a function.

    :ivar of: The function by its name in the source, or the copy that it is part of.
    :ivar what: What it is, in words.
    :ivar why: Why it has no prototype of its own, in words.
    :ivar places: Its symbols, by address; their sizes are the room to the next.
    :ivar source: The function in the source, if it is there by that name.
    :ivar prototype: How that one is declared, "" if BTF does not say.
    """

    name: str
    of: str
    what: str
    why: str
    places: tuple[Sym, ...]
    source: Sym | None
    prototype: str

    def sentence(self) -> str:
        """What it is, in one line."""
        first = self.places[0]
        owner = f" in module {first.module}" if first.module else ""
        more = f" and {len(self.places) - 1} more of that name" if len(self.places) > 1 else ""
        return (
            f"{self.name} is {self.what}, at {first.address:#x}, {first.size} bytes"
            f"{owner}{more}; {self.why}: it has no prototype of its own"
        )


def is_changed(name: str) -> bool:
    """Whether a name has an ending that compilers give."""
    return len(name) <= _MAX_NAME and _LAST.fullmatch(name) is not None


def base_of(name: str) -> str:
    """
    The function in the source.

    >>> base_of("ext4_truncate.part.0.cold")
    'ext4_truncate'
    """
    found = _ENDING.fullmatch(name)
    return found["of"] if found else name


def changed(session: Session, name: str) -> Changed | None:
    """
    Return what code with a compiler's ending is.

    :return: ``None`` if there is no such code, or its name has no such ending.

    >>> changed(session, "do_one_initcall.cold").sentence()
    'do_one_initcall.cold is the unlikely part of do_one_initcall, at 0xffffffff9dad7ac4, 64 bytes;
    it is jumped to and never called: it has no prototype of its own'
    """
    last = _LAST.fullmatch(name) if len(name) <= _MAX_NAME else None
    places = () if last is None else _code(session, name)
    if last is None or not places:
        return None
    base = base_of(name)
    sources = _code(session, base)
    what, why = _HOW[last["how"].partition(".")[0]]
    return Changed(
        name,
        last["of"],
        what.format(last["of"]),
        why,
        places,
        sources[0] if len(sources) == 1 else None,
        _prototype(session, base, places[0].module),
    )


def _code(session: Session, name: str) -> tuple[Sym, ...]:
    """The symbols of a name that are code, of the kernel or else of its modules, by address."""
    found = {s.address: s for s in session.lookup_symbols(name) if is_text(s)}
    if not found and session.module_objects is not None:
        found = {s.address: s for s in session.module_objects.symbols_of(name) if is_text(s)}
    return tuple(found[address] for address in sorted(found))


def _prototype(session: Session, name: str, module: str) -> str:
    converter = session.converter
    if module:
        btfs = session.module_btfs
        converter = None if btfs is None else btfs.converter(module)
    if converter is None:
        return ""
    ids = own_ids(converter.btf, name, (Kind.FUNC,))
    if len(ids) != 1:
        return ""
    declared: str = converter.convert(ids[0]).variable_declaration(name)
    return declared


def is_of_function(session: Session, name: str) -> bool:
    """
    Whether a name with a compiler's ending can mean code only: ``x.cold`` may be a member.

    >>> is_of_function(session, "schedule.cold"), is_of_function(session, "init_task.cold")
    (True, False)
    """
    if not is_changed(name):
        return False
    if not name.endswith(".cold") or _code(session, name):
        return True  # no member is called by a number
    try:
        return session.prog.symbol(base_of(name)).kind is drgn.SymbolKind.FUNC
    except LookupError:
        return False
