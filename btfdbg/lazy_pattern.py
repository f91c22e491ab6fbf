"""Regular expressions that are compiled when they are first used.

Owns nothing else. ``re.compile()`` of one takes 0.2 ms and of the twenty that lie between
``btfdbg CORE`` and a first answer 4: most of them are for what is not asked.

    >>> _WORD = pattern(r"[a-z]+")
    >>> _WORD.match("word")
    <re.Match object; span=(0, 4), match='word'>
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from re import compile as pattern
else:

    class pattern:  # in the place of the function re.compile
        """A :class:`re.Pattern` to be."""

        def __init__(self, text, flags=0):
            self._given = text, flags

        def __getattr__(self, name):
            # Only an attribute that is not there gets here: once for each method.
            if name.startswith("__"):
                raise AttributeError(name)
            import re

            compiled = re.compile(*self._given)
            found = getattr(compiled, name)
            setattr(self, name, found)
            return found

        def __reduce__(self):
            return pattern, self._given


__all__ = ["pattern"]
