"""Counts in words: ``1 task``, ``2 tasks``."""

from __future__ import annotations


def counted(number: float, many: str, one: str = "") -> str:
    """
    Return a number with the noun that fits it; no decimals.

    >>> counted(1, "tasks"), counted(2000, "tasks"), counted(1, "crashes", "crash")
    ('1 task', '2,000 tasks', '1 crash')

    :param one: The noun for 1, ``many`` without its ``s`` if empty; ``MiB`` stays as it is.
    """
    shown = f"{number:,.0f}"
    return f"{shown} {(one or many.removesuffix('s')) if shown == '1' else many}"
