"""The CPU that panicked, out of the log: what ``panic_cpu`` says where it has a symbol."""

from __future__ import annotations

from pathlib import Path

import pytest

import btfdbg
from btfdbg.program import symbol_rules
from btfdbg.program.log_records import log_records

COREFILES = Path(__file__).resolve().parents[2] / "corefiles"


@pytest.mark.parametrize("core", sorted(COREFILES.glob("*.vmcore")), ids=lambda core: core.stem)
def test_the_log_and_the_variable_agree(core: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    session = btfdbg.session(btfdbg.program_from_core_dump(core))
    found = symbol_rules.panic_cpu(session)
    texts = [text for _, _, text in log_records(session.prog)]
    if any(text.startswith(b"Kernel panic - not syncing") for text in texts):
        assert found == session.prog["panic_cpu"].counter.value_()
    else:
        assert found is None  # the crash kernel was started before panic() said so
    # Records of drgn's helper say the same.
    monkeypatch.setattr("btfdbg.program.log_records.find_session", lambda prog: None)
    assert symbol_rules.panic_cpu(session) == found


@pytest.mark.parametrize("core", sorted(COREFILES.glob("*.vmcore")), ids=lambda core: core.stem)
def test_where_the_text_begins_vmcoreinfo_says_as_well(core: Path) -> None:
    session = btfdbg.session(btfdbg.program_from_core_dump(core))
    (symbol,) = session.lookup_symbols("_stext")
    assert symbol.source != symbol_rules.SOURCE
    assert symbol_rules.RULES["_stext"](session) == symbol.address
