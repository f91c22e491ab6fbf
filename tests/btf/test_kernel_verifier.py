"""``check --level strict`` against this machine's kernel, rule by rule: BPF_BTF_LOAD.

Needs root, and BTFDBG_BPF_BTF_LOAD=1 that says so: nothing of the kernel's is changed, but
it is not what one expects of a test. Held for Linux 6.18, whose words the rows are in.
"""

from __future__ import annotations

import ctypes
import os
import random
import re
import struct
import sys

import pytest

from btfdbg.btf import Btf
from btfdbg.btf.format import Kind
from btfdbg.btf.text.assemble import assemble
from btfdbg.btf.validate.problem import Problem
from btfdbg.btf.validate.validate import check
from btfdbg.errors import BtfFormatError
from tests.btf import test_special_fields as special_fields
from tests.btf.mutate import damage
from tests.btf.shapes import random_shape
from tests.btf.test_validate import CASES
from tests.btf.test_validate_neighbours import NEIGHBOURS

pytestmark = pytest.mark.oracle
if not os.environ.get("BTFDBG_BPF_BTF_LOAD"):
    pytest.skip("BTFDBG_BPF_BTF_LOAD is not set", allow_module_level=True)

_CALLS = {"x86_64": 321, "aarch64": 280, "riscv64": 280, "ppc64le": 361, "s390x": 351}
_BTF_LOAD = 18
_CALL = _CALLS.get(os.uname().machine)
# What kernels before 7.2 do not know, or say in other words.
_NEWER = re.compile(r"meta_left|Invalid kind|Invalid btf_info:|Unsupported btf_header")


def load(data: bytes) -> tuple[int, str, int | None] | None:
    """Return errno, what the verifier said last and of which type; ``None`` if it was loaded."""
    assert _CALL is not None
    libc = ctypes.CDLL(None, use_errno=True)
    blob = ctypes.create_string_buffer(data, len(data))
    log = ctypes.create_string_buffer(1 << 16)
    attr = struct.pack(
        "QQ4I", ctypes.addressof(blob), ctypes.addressof(log), len(data), len(log), 1, 0
    )
    fd = libc.syscall(_CALL, _BTF_LOAD, ctypes.create_string_buffer(attr, len(attr)), 28)
    if fd >= 0:
        os.close(fd)
        return None
    lines = [line for line in log.value.decode("latin-1").split("\n") if line]
    said = lines[-1] if lines else ""
    type_id = None
    if re.match(r"\[\d+\]|\t", said):
        heads = [re.match(r"\[(\d+)\] ", line) for line in reversed(lines)]
        type_id = next((int(head[1]) for head in heads if head), None)
    return ctypes.get_errno(), said, type_id


def agrees(data: bytes, problems: list[Problem]) -> bool:
    """Return whether the kernel says what comes first among our problems."""
    answer = load(data)
    if answer is None or not problems:
        return answer is None and not problems
    _, said, type_id = answer
    first = problems[0]
    return first.rule.lower() in said.lower() and type_id in (None, first.type_id)


@pytest.fixture(scope="module", autouse=True)
def allowed() -> None:
    if sys.byteorder != "little" or _CALL is None:
        pytest.skip("not on this machine")
    if load(assemble("[1] INT 'int' size=4\n")) is not None:
        pytest.skip("BPF_BTF_LOAD is not allowed here")


@pytest.mark.parametrize("row", [*CASES, *NEIGHBOURS])
def test_the_kernel_says_the_same_of_every_row(row: str) -> None:
    data = assemble((CASES | NEIGHBOURS)[row][2])
    problems = list(check(data))
    assert agrees(data, problems), (load(data), problems)


@pytest.mark.parametrize("seed", range(20))
def test_the_kernel_says_the_same_of_random_types(seed: int) -> None:
    rng = random.Random(seed)
    compared = 0
    for _ in range(500):
        data = bytes(random_shape(rng, None, rng.choice((2, 4, 8))).raw)
        if rng.random() < 0.2:
            data = damage(rng, data, 8)
        problems = list(check(data))
        if not problems and _locations(data):
            continue
        answer = load(data)
        if answer is not None and _NEWER.search(answer[1]):
            continue
        if problems and problems[0].rule in ("btf_header not found", "Invalid offset+size"):
            continue  # said earlier than there, and of sums that wrap around there
        compared += 1
        # In a name a line may end.
        if answer is None or "\n" not in str(data[24:], "latin-1"):
            assert agrees(data, problems), (answer, problems[:2], data.hex())
    assert compared > 300


def _locations(data: bytes) -> bool:
    try:
        btf = Btf.parse(data)
    except BtfFormatError:
        return False
    return any(btf.kind_of(type_id) >= Kind.LOC_PARAM for type_id in btf.own_ids())


@pytest.mark.parametrize("case", special_fields.CASES)
def test_managed_fields_are_judged_as_by_the_kernel(case: str) -> None:
    members, inner, _ = special_fields.CASES[case]
    data = special_fields.built(members, inner)
    assert bool(load(data)) == any(True for _ in check(data))
