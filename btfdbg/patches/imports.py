"""Know when a module of drgn's has been imported.

Owns the place in Python's import system: a finder that finds nothing itself, and has what the
others find tell when it was run.

Facts: Python's ``importlib.abc.MetaPathFinder``, ``Loader.exec_module``.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType


class _Finder:
    """First of ``sys.meta_path``."""

    def __init__(self, done: Callable[[ModuleType, Sequence[ModuleType]], None]) -> None:
        self._done = done
        self._run: list[ModuleType] = []

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if not name.startswith("drgn."):
            return None
        for finder in sys.meta_path:
            if finder is self:
                continue
            spec: ModuleSpec | None = finder.find_spec(name, path, target)
            if spec is not None:
                self._tell(spec)
                return spec
        return None

    def _tell(self, spec: ModuleSpec) -> None:
        loader = spec.loader
        execute = getattr(loader, "exec_module", None)
        if loader is None or execute is None:
            return

        def run(module: ModuleType) -> None:
            before = len(self._run)
            execute(module)
            within = self._run[before:]
            self._run.append(module)
            self._done(module, within)

        loader.exec_module = run  # type: ignore[method-assign] # a loader is one module's


def tell(done: Callable[[ModuleType, Sequence[ModuleType]], None]) -> None:
    """
    Have a function called with each module of drgn's that is imported from now on.

    :param done: Called when the module's code has run, with what was imported within.
    """
    sys.meta_path.insert(0, _Finder(done))
