"""Tests leave drgn's default program as they found it: none."""

from __future__ import annotations

from collections.abc import Iterator

import drgn
import pytest


@pytest.fixture(autouse=True)
def no_default_program() -> Iterator[None]:
    yield
    drgn.set_default_prog(None)
