"""What a prompt remembers about one Program besides the Session.

Owns results, ``$names``, the last error, the count of unreadable reads and the
options that commands look at. Tied to the Program, so that two dumps in one
process do not share them.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable
from typing import Any

import drgn

from btfdbg.lazy_dataclass import dataclass, field
from btfdbg.lazy_pattern import pattern

_CACHE_KEY = "btfdbg.prompt"


# As gdb calls them on the architectures that there are.
_REGISTER = pattern(r"[re]?(?:[abcd]x|[sd]i|[sb]p|ip|flags)|[rx]\d{1,2}|pc|sp|lr|cr\d|[c-gs]s")


_COUNTERS = frozenset(("pc", "rip", "eip", "ip"))


def _is_register(name: str) -> bool:
    return _REGISTER.fullmatch(name) is not None


@dataclass(slots=True)
class PromptState:
    """
    State of the prompt.

    :ivar bound: Namespace of Python lines as far as it is bound; see :attr:`globals`.
    :ivar bind: Binds the names of the prompt, once, when somebody asks for them; binding drgn's
        imports all of its helpers, which takes longer than most commands.
    :ivar given: Names that were bound before the user typed anything.
    :ivar results: Number to value, as ``$3`` and ``_3``.
    :ivar names: ``$name`` variables and bookmarks.
    :ivar notes: Bookmark to the words the user gave with it.
    :ivar aliases: What the user made with ``alias``: word to the line that it stands for.
    :ivar faults: Reads that failed so far.
    :ivar depth: How many files of commands are being read within each other.
    :ivar source: Folder of the kernel's source tree, "" without one.
    :ivar color: ``auto``, ``always`` or ``never``.
    :ivar pager: Whether long output goes through a pager; ``set scroll`` changes it.
    :ivar pager_program: ``less`` or ``more`` if ``set scroll`` named one.
    """

    bound: dict[str, Any] = field(default_factory=dict)
    bind: Callable[[], object] | None = None
    given: frozenset[str] = frozenset()
    results: dict[int, Any] = field(default_factory=dict)
    names: dict[str, Any] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)
    aliases: dict[str, str] = field(default_factory=dict)
    names_path: str = ""
    last_error: BaseException | None = None
    faults: int = 0
    color: str = "auto"
    pager: bool = True
    pager_program: str = ""
    source: str = ""
    interactive: bool = False
    depth: int = 0

    @property
    def paged(self) -> bool:
        """Whether what is printed now goes through a pager when it is long."""
        return self.interactive and self.pager

    @property
    def globals(self) -> dict[str, Any]:
        """Namespace of Python lines."""
        self.bind_names()
        return self.bound

    def bind_names(self) -> None:
        """Bind the prompt's names if that was put off; what was bound meanwhile stays."""
        bind, self.bind = self.bind, None
        if bind is None:
            return
        own = dict(self.bound)
        self.bound.clear()
        bind()
        self.bound.update(own)

    def own_names(self) -> frozenset[str]:
        """Names that the user bound."""
        return frozenset(name for name in self.bound if name not in self.given)

    def remember_result(self, value: Any) -> int:
        """Number a value; the oldest of a thousand are let go."""
        number = max(self.results, default=0) + 1
        self.results[number] = value
        self.results.pop(number - 1000, None)
        self.bound.pop(f"_{number - 1000}", None)
        self.bound["_"] = self.bound[f"_{number}"] = value
        return number

    def remember_error(self, error: BaseException) -> None:
        """Keep an error for ``tb``."""
        self.last_error = error

    def dollar(self, name: str) -> Any:
        """
        Value of ``$name``: a result's number, a bookmark, ``$`` for the last result.

        :raises LookupError: there is none.
        """
        if not name:
            if not self.results:
                raise LookupError("there is no result yet")
            return self.results[max(self.results)]
        if name.isdecimal():
            number = int(name)
            if number in self.results:
                return self.results[number]
            raise LookupError(f"there is no result ${number}")
        if name in self.names:
            return self.names[name]
        known = ", ".join(f"${n}" for n in sorted(self.names)) or "none yet"
        hint = "; ctx shows the registers, bt -e those on the stack" if _is_register(name) else ""
        if name in _COUNTERS:
            hint += ", dis alone the code where it happened"
        raise LookupError(f"there is no ${name} (known: {known}){hint}")

    def traceback(self) -> str:
        """The last error in full, without our own frames at its start."""
        error = self.last_error
        if error is None:
            return "no error so far\n"
        tb = error.__traceback__
        while tb is not None and "/btfdbg/" in tb.tb_frame.f_code.co_filename and tb.tb_next:
            tb = tb.tb_next
        return "".join(traceback.format_exception(type(error), error, tb))


def state_of(prog: drgn.Program) -> PromptState:
    """The state of a Program's prompt; made when first asked for."""
    found = prog.cache.get(_CACHE_KEY)
    if not isinstance(found, PromptState):
        found = prog.cache[_CACHE_KEY] = PromptState()
    return found
