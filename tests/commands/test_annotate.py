"""What an address is, and what type is there."""

from __future__ import annotations

import pytest

from btfdbg.program import annotate
from btfdbg.program.session import Session


def test_null_and_small_numbers_are_no_addresses(session: Session) -> None:
    assert annotate.identify(session, 0)[0].text == "NULL"
    assert annotate.short(session, 17, {}) == ""


def test_a_function_is_text(session: Session) -> None:
    address = session.prog.symbol("schedule").address
    assert annotate.short(session, address + 4, {}) == "text schedule+0x4"


def test_a_variable_has_its_type_and_the_evidence(session: Session) -> None:
    address = session.prog.symbol("init_task").address
    found = {i.kind: i for i in annotate.identify(session, address + 8)}
    assert found["symbol"].type == "struct task_struct"
    assert found["symbol"].offset == 8
    assert found["task"].start == address


@pytest.mark.parametrize(
    ("cache", "size_of", "type_"),
    [
        ("dentry", "struct dentry", "struct dentry"),
        ("signal_cache", "struct signal_struct", "struct signal_struct"),
        ("vm_area_struct", "struct vm_area_struct", "struct vm_area_struct"),
        ("cred_jar", "struct cred", "struct cred"),
        ("inode_cache", "struct inode", "struct inode"),
        ("kmalloc-64", "struct list_head", None),
        ("dentry", "struct list_head", None),
        ("no_such_cache", "struct list_head", None),
    ],
)
def test_a_cache_tells_the_struct_if_name_and_size_agree(
    cache: str, size_of: str, type_: str | None, session: Session
) -> None:
    size = session.prog.type(size_of).size
    found, why = annotate.slab_type(session, cache, size)
    assert found == type_
    assert why


@pytest.mark.parametrize("address", [1 << 63, (1 << 64) - 1, 0xFFFF, 0xDEADBEEFDEADBEEF, 1 << 47])
def test_any_number_gets_an_answer_or_none(address: int, session: Session) -> None:
    annotate.identify(session, address)
