"""Tests that rename are asked for by their marker only: each row is a process of its own."""

from __future__ import annotations

import pytest


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what is marked ``renamed`` unless the marker is asked for."""
    if "renamed" in config.option.markexpr:
        return
    skip = pytest.mark.skip(reason="asked for with -m renamed")
    for item in items:
        if item.get_closest_marker("renamed") is not None:
            item.add_marker(skip)
