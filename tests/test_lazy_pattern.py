"""Our patterns are patterns in everything that the project does with them."""

from __future__ import annotations

import copy
import pickle
import re
import subprocess
import sys

import pytest

from btfdbg.lazy_pattern import pattern


@pytest.mark.parametrize(("text", "flags"), [(r"(a+)(?P<last>b)?", 0), (r"A", re.IGNORECASE)])
def test_it_finds_what_a_compiled_one_finds(text: str, flags: int) -> None:
    ours, theirs = pattern(text, flags), re.compile(text, flags)
    for word in ("aab", "xaabaa", "", "Aab"):
        for name in ("match", "search", "fullmatch", "findall", "split"):
            a, b = (getattr(p, name)(word) for p in (ours, theirs))
            assert (
                (a and a.groups(), a and a.span()) == (b and b.groups(), b and b.span())
                if (isinstance(b, re.Match))
                else a == b
            )
        assert ours.sub("-", word) == theirs.sub("-", word)
        assert [m.span() for m in ours.finditer(word)] == [m.span() for m in theirs.finditer(word)]
    assert ours.pattern == theirs.pattern
    assert ours.groupindex == theirs.groupindex
    for other in (copy.copy(ours), pickle.loads(pickle.dumps(ours))):
        assert other.findall("aab") == theirs.findall("aab")


def test_bytes_are_matched_too_and_a_wrong_name_is_told() -> None:
    assert pattern(rb"\0{2,}").search(b"x\0\0\0").span() == (1, 4)  # type: ignore[union-attr]
    with pytest.raises(AttributeError):
        pattern("a").nonsense  # type: ignore[attr-defined]  # noqa: B018
    with pytest.raises(re.error):
        pattern("(").match("")


def test_nothing_is_compiled_before_it_is_used() -> None:
    code = (
        "import re, re._compiler as c; made = []; compile = c.compile\n"
        "c.compile = lambda *given: made.append(given[0]) or compile(*given)\n"
        "from btfdbg.lazy_pattern import pattern\n"
        "p = pattern('a'); assert not made, made\n"
        "assert p.match('a') and p.match('a') and made == ['a'], made\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
