"""A mistake on the command line in one line.

argparse prints the usage above it, which fills a screen for what opens dumps.
"""

from __future__ import annotations

import argparse
from typing import NoReturn

from btfdbg.errors import BtfdbgError


class Brief(argparse.ArgumentParser):
    """A parser that says what is wrong, and what lists what would be right."""

    def error(self, message: str) -> NoReturn:
        """See :class:`argparse.ArgumentParser`."""
        what, _, words = message.partition(": ")
        reads_one = any(not action.option_strings for action in self._actions)
        second = ""
        if reads_one and what == "unrecognized arguments":
            second = _dump_among(words.split())
        if second:
            self.exit(
                2,
                f"{self.prog}: error: {second} is another dump, and one at a time is read;"
                " btfdbg triage reads several\n",
            )
        self.exit(2, f"{self.prog}: error: {message}; {self.prog} --help lists what it takes\n")


def _dump_among(words: list[str]) -> str:
    """The first word that names a dump, "" if none does."""
    from btfdbg.report.logs.files import beginning, is_dump

    for word in words:
        try:
            if is_dump(beginning(word)):
                return word
        except (OSError, BtfdbgError):  # no file
            continue
    return ""
