"""``python -m btfdbg.patches``: the table as text, for ``docs/drgn.md``."""

from __future__ import annotations

from collections.abc import Iterator

from btfdbg.patches.table import ROWS, Use

_HEAD = """# What btfdbg changes in drgn

Made by `python -m btfdbg.patches > docs/drgn.md` out of `btfdbg/patches/table.py`.

btfdbg's library (`import btfdbg`, and the plugin in `drgn` and `drgn-crash`) uses drgn's public
interfaces only and changes nothing in drgn until it is asked for a report, which is the same by
every door. Its own command line (`btfdbg CORE`, the prompt, `-e`, `-x`, scripts) and the report put
functions of its own in the place of drgn's, and use some names that drgn keeps private: these
rows, and no others. A row that does not fit the installed drgn (its target
is not there, or takes other parameters) is left out; one note says so and what is lost.
"""


def lines() -> Iterator[str]:
    """Lines of Markdown."""
    yield _HEAD
    for use in Use:
        rows = [row for row in ROWS if row.use is use]
        if not rows:
            continue
        yield f"## {use.value[0].upper()}{use.value[1:]} ({len(rows)})"
        yield ""
        yield "| in drgn | by | why | lost without it | upstream |"
        yield "|---|---|---|---|---|"
        for row in rows:
            target = f"{row.module}.{row.name}" if row.name else row.module
            if use is Use.ENVIRONMENT:
                target = row.name
            cells = (f"`{target}`", f"`{row.patch}`" if row.patch else "", row.why, row.lost,
                     row.upstream)  # fmt: skip
            yield f"| {' | '.join(cells)} |"
        yield ""
    yield f"{len(ROWS)} rows."


if __name__ == "__main__":
    print("\n".join(lines()))
