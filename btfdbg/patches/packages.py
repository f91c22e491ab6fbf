"""drgn's packages whose ``__init__`` imports every module below them, without those modules.

Owns what such a package is meanwhile: its modules can be imported one by one, and it becomes
what drgn made of it when something is asked for that is not there, such as its ``__all__``.
A module that is imported for one function is the same, with a function that calls that one.
Which packages and functions these are is in the table.

Facts: drgn 0.3.0, ``helpers/linux/__init__.py`` and ``commands/_crash/__init__.py``;
Python's ``importlib``: a package is its ``__path__`` to whoever imports a module of it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib.util import find_spec, module_from_spec
from types import ModuleType
from typing import Any

from btfdbg.interrupts import held


class _Package(ModuleType):
    """A package before its ``__init__`` has been run."""

    def __getattr__(self, name: str) -> Any:
        # The import machinery asks for such names of any module and expects an error.
        if name.startswith("__") and name != "__all__":
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        _complete(self)
        return getattr(self, name)

    def __dir__(self) -> list[str]:
        _complete(self)
        return dir(self)


def put_off(name: str, function: str = "") -> None:
    """
    Have a package's modules imported one by one; one that is imported already stays.

    :param function: Of a module, what it is imported for: its code is run when that is called.
    """
    if name in sys.modules:
        return
    try:
        spec = find_spec(name)  # imports what it is in
    except ImportError:
        return  # this drgn has none: whoever asks for it says so
    if spec is None or name in sys.modules:
        return
    module = module_from_spec(spec)
    module.__class__ = _Package
    if function:
        setattr(module, function, _later(module, function))
    sys.modules[name] = module
    above, _, last = name.rpartition(".")
    setattr(sys.modules[above], last, module)


def _later(module: ModuleType, function: str) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Any:
        if isinstance(module, _Package):
            _complete(module)
        return getattr(module, function)(*args, **kwargs)

    return call


def complete(name: str) -> None:
    """Run a package's ``__init__`` if that was put off."""
    module = sys.modules.get(name)
    if isinstance(module, _Package):
        _complete(module)


def _complete(module: ModuleType) -> None:
    # It is in sys.modules already: half of it would stay there.
    with held():
        module.__class__ = ModuleType
        spec = module.__spec__
        if spec is not None and spec.loader is not None:
            spec.loader.exec_module(module)
