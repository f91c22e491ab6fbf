"""drgn's long walks over memory, ``search`` and ``kmem -p``, with a progress bar and to their end.

Owns which of a Program's searches are ours (``program/memory_search.py`` does them), and the
walks over all pages.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import drgn

from btfdbg.patches.program_proxy import Command, ProgramProxy, with_proxy
from btfdbg.program.memory_search import Make, Search, searched
from btfdbg.program.session import find_session
from btfdbg.vmcore.progress import Progress

_KINDS = ("word", "u16", "u32", "u64", "regex")
Walk = Callable[..., Iterable[Any]]


def _searched(prog: drgn.Program, args: argparse.Namespace) -> _Searched | None:
    # Stacks are ranges of their own, and the tasks are asked of the Program itself.
    own = getattr(args, "task_stacks", False) or getattr(args, "active_task_stacks", False)
    session = find_session(prog)
    ranges = None if own or session is None else searched(session)
    return None if ranges is None else _Searched(prog, ranges)


class _Searched(ProgramProxy):
    """A Program whose searches are ours."""

    def __init__(self, prog: drgn.Program, ranges: list[tuple[int, int]]) -> None:
        super().__init__(prog)
        self._ranges = ranges
        self._searches: list[Search] = []

    def say_if_nothing(self) -> None:
        """Nothing printed reads as if nothing had been looked through."""
        if self._searches and not any(search.matches for search in self._searches):
            pages = sum(search.pages for search in self._searches)
            counted = f"{pages:,} page{'' if pages == 1 else 's'}"
            print(f"search: no match in {counted} searched", file=sys.stderr)

    def __getattr__(self, name: str) -> Any:
        found = super().__getattr__(name)
        if name.removeprefix("search_memory_") in _KINDS:
            return lambda *args, **kwargs: self._search(
                lambda prog: getattr(prog, name)(*args, **kwargs)
            )
        return found

    def _search(self, make: Make) -> Search:
        self._searches.append(Search(self._prog, self._ranges, make))
        return self._searches[-1]


def _first(item: Any) -> int:
    number: int = item[0]
    return number


def _with_progress(number: Callable[[Any], int] | None) -> Callable[[Walk], Walk]:
    """
    Make a walk over all pages that says how far it is where its output goes to a file or pipe.

    :param number: Page frame of an item; ``None`` to count the items.
    """

    def make(original: Walk) -> Walk:
        def walk(prog: drgn.Program) -> Iterator[Any]:
            if sys.stdout.isatty():
                yield from original(prog)
                return
            with Progress("pages", _max_pfn(prog), unit="pages") as progress:
                for count, item in enumerate(original(prog)):
                    if not count & 0xFF:
                        progress(count if number is None else number(item))
                    yield item

        return walk

    return make


def _max_pfn(prog: drgn.Program) -> int:
    try:
        count: int = prog["max_pfn"].value_()
    except (LookupError, drgn.FaultError):
        return 1
    return count


def search(original: Command) -> Command:
    """``search``."""

    def run(prog: drgn.Program, name: str, args: argparse.Namespace, **kwargs: Any) -> Any:
        result = original(prog, name, args, **kwargs)
        if isinstance(prog, _Searched):
            prog.say_if_nothing()
        return result

    return with_proxy(_searched)(run)


for_each_page = _with_progress(None)
for_each_valid_pfn_and_page = _with_progress(_first)
