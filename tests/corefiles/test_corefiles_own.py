"""Kernels of our own: what their recipes ask for."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from corefiles import own
from corefiles.run import BuildError


def test_an_unknown_recipe_is_refused_before_anything_is_fetched(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match="not among gcc, clang"):
        own.fetch(tmp_path, "picnic", print)
    assert list(tmp_path.iterdir()) == []


def test_the_configuration_is_made_of_settings() -> None:
    for text in (own._CONFIG.read_text(), *(each.config for each in own.RECIPES.values())):
        for line in text.splitlines():
            assert re.fullmatch(r"#.*|CONFIG_\w+=(y|m|n|\d+)", line), line


def test_pahole_is_asked_for_features_once(tmp_path: Path) -> None:
    makefile = tmp_path / "scripts" / "Makefile.btf"
    makefile.parent.mkdir()
    makefile.write_text("pahole-flags-y += --a\nexport PAHOLE_FLAGS := $(pahole-flags-y)\n")
    for _ in range(2):
        own._ask_pahole(tmp_path, "true_signature")
    assert makefile.read_text() == (
        "pahole-flags-y += --a\npahole-flags-y += --btf_features=true_signature\n"
        "export PAHOLE_FLAGS := $(pahole-flags-y)\n"
    )


def test_a_makefile_without_pahole_is_an_error(tmp_path: Path) -> None:
    makefile = tmp_path / "scripts" / "Makefile.btf"
    makefile.parent.mkdir()
    makefile.write_text("all:\n")
    with pytest.raises(BuildError, match="PAHOLE_FLAGS"):
        own._ask_pahole(tmp_path, "true_signature")
