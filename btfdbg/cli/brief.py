"""A mistake on the command line in one line.

argparse prints the usage above it, which fills a screen for what opens dumps.
"""

from __future__ import annotations

import argparse
from typing import NoReturn


class Brief(argparse.ArgumentParser):
    """A parser that says what is wrong, and what lists what would be right."""

    def error(self, message: str) -> NoReturn:
        """See :class:`argparse.ArgumentParser`."""
        self.exit(2, f"{self.prog}: error: {message}; {self.prog} --help lists what it takes\n")
