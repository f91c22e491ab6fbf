"""What was kept of a function's analysis is what an analysis finds, or it is not taken.

``BTFDBG_KEPT_FLOWS=CORE:CORE`` asks of these dumps what is asked of the bundled ones, which have
little code in them.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import zlib
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import drgn
import pytest
from drgn.helpers.linux.pid import for_each_task

import btfdbg
from btfdbg.frames import arm64, recover, x86_64
from btfdbg.frames.arguments import recovery
from btfdbg.frames.blocks import meanings
from btfdbg.frames.code import Arch, Code, Fixup
from btfdbg.frames.disasm import open_disassembler
from btfdbg.frames.flow import FunctionFlow
from btfdbg.frames.kept_flows import MAX_PACKED, KeptFlows
from btfdbg.frames.lines import Lines, lines
from btfdbg.frames.packed_flow import MAX_UNPACKED, Damaged, pack, unpack
from btfdbg.frames.recover import Recovery
from btfdbg.frames.state import State
from btfdbg.program.session import Session
from tests.frames.code import BASE, COLD, CURRENT, OTHER, STOPS, Bytes, to, x86

pytest.importorskip("capstone")

COREFILES = Path(__file__).resolve().parents[2] / "corefiles"
NULL = COREFILES / "6.12-amd64-null.vmcore"
HUNG = COREFILES / "6.1-amd64-hung.vmcore"
DISASSEMBLE = open_disassembler("x86_64")


def _state(state: State | None) -> Any:
    """All of a state, its order included."""
    if state is None:
        return None
    return list(state.regs.items()), list(state.slots.items()), state.escaped


def _all(flow: FunctionFlow) -> list[Any]:
    """All that a flow answers."""
    found: list[Any] = [flow.problem, list(flow.tables.items()), flow.leaders]
    for at, insn in flow.insns.items():
        found.append((at, insn.address, insn.size, insn.end, insn.kind, insn.target))
        found.append((insn.text, insn.through, insn.ops, _state(flow.before(at))))
        found.append((flow.block_of(at), getattr(flow.call_before(at), "address", None)))
    for block, state in flow.blocks.items():
        found.append((block, _state(state), flow.leads(block)))
        found += [(edge[0], _state(edge[1]), edge[2] and edge[2].address)
                  for edge in flow.edges(block)[1]]  # fmt: skip
        found += [(start, _state(made)) for start, made, _ in flow.into(block)]
    return found


def _again(kept: KeptFlows) -> KeptFlows:
    """As another process finds it."""
    return KeptFlows.unpack(memoryview(kept.pack()))


def _kept(code: Code, words: int = 0, arch: Arch = x86_64) -> KeptFlows:
    kept = KeptFlows()
    made = kept.make(code, arch, DISASSEMBLE, words)
    assert made.problem == ""
    assert kept.is_new
    return _again(kept)


def _many() -> bytes:
    """Code that asks all there is to ask: calls, a cold part, the running task, a spill."""
    return x86(
        b"\x53",  # push rbx
        b"\x48\x89\xfb",  # mov rbx, rdi
        b"\x65\x48\x8b\x04\x25" + CURRENT.to_bytes(4, "little"),  # mov rax, gs:[CURRENT]
        b"\x48\x8b\x73\x28",  # mov rsi, [rbx + 0x28]
        b"\x6a\x07",  # push 7
        (b"\xe8", OTHER),
        b"\x48\x83\xc4\x08",  # add rsp, 8
        b"\x48\x85\xc0",  # test rax, rax
        (b"\x0f\x84", COLD),
        b"\x78\x02",  # js over the next two
        b"\x5b\xc3",  # pop rbx; ret
        (b"\xe8", STOPS),
    )


def _cold() -> bytes:
    # xor eax, eax; jump to another function
    return b"\x31\xc0\x5b\xe9" + to(OTHER, COLD + 8)


FAULT = {BASE + 13: Fixup(BASE + 17, ("rax",))}
BRANCH = {BASE + 4: BASE + 13}


def _code(**changed: Any) -> Bytes:
    given: dict[str, Any] = {
        "code": _many(), "cold": _cold(), "fixups": FAULT, "branches": BRANCH, "words": 1,
    }  # fmt: skip
    return Bytes(**{**given, **changed})


def test_it_is_what_an_analysis_finds() -> None:
    kept = _kept(_code(), 2)
    fresh = FunctionFlow(_code(), x86_64, DISASSEMBLE, 2)
    found = kept.take(_code(), x86_64, DISASSEMBLE, 2)
    assert found is not None
    assert not kept.is_new
    assert _all(found) == _all(fresh)
    assert len(found.blocks) > 3
    assert any(i.target == COLD for i in found.insns.values())


class _Differing(Bytes):
    """The same code with one other answer."""

    def __init__(self, name: str, answer: Any) -> None:
        super().__init__(_many(), _cold(), FAULT, BRANCH, 1)
        setattr(self, name, lambda *_: answer)


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("returns", True),
        ("returns", False),
        ("is_function", False),
        ("is_tracer", True),
        ("is_current", False),
        ("stack_words", None),
        ("stack_words", 2),
        ("extent", (COLD, COLD + 4)),
        ("fixups", {}),
        ("fixups", {BASE + 13: Fixup(BASE + 17, ("rax", "rcx"))}),
        ("fixups", {BASE + 13: Fixup(BASE + 23, ("rax",))}),
        ("branches", {}),
        ("branches", {BASE + 4: BASE + 17}),
    ],
)
def test_an_answer_that_differs_means_an_analysis_anew(name: str, answer: Any) -> None:
    assert _kept(_code(), 1).take(_Differing(name, answer), x86_64, DISASSEMBLE, 1) is None


def test_each_byte_counts() -> None:
    kept = _kept(_code(), 1)
    for part, data in (("code", _many()), ("cold", _cold())):
        for at in range(len(data)):
            changed = data[:at] + bytes((data[at] ^ 1,)) + data[at + 1 :]
            assert kept.take(_code(**{part: changed}), x86_64, DISASSEMBLE, 1) is None, (part, at)
    assert kept.take(_code(), x86_64, DISASSEMBLE, 0) is None
    assert kept.take(_code(), x86_64, DISASSEMBLE, 1) is not None


def test_what_was_refused_is_not_kept() -> None:
    kept = KeptFlows()
    made = kept.make(Bytes(b"\x53\xcc\xc3"), x86_64, DISASSEMBLE, 0)
    assert "probed" in made.problem
    assert not kept.is_new
    assert _again(kept).pack() == KeptFlows().pack()


def test_what_cannot_be_read_is_asked_for_once_and_ends_it() -> None:
    """A dump without the page of the code: the analysis says so, as without a cache."""
    from btfdbg.frames.ir import Refusal

    class Unreadable(Bytes):
        def read(self, address: int, end: int) -> bytes:
            raise Refusal("its code is not in the dump")

    kept = _kept(_code(), 1)
    missing = Unreadable(_many(), _cold(), FAULT, BRANCH, 1)
    assert kept.take(missing, x86_64, DISASSEMBLE, 1) is None
    assert kept.make(missing, x86_64, DISASSEMBLE, 1).problem == "its code is not in the dump"


def test_what_was_asked_about_before_is_known_without_being_executed() -> None:
    kept = KeptFlows()
    made = kept.make(_code(), x86_64, DISASSEMBLE, 1)
    call = next(i for i in made.insns.values() if i.target == OTHER)
    fresh = made.before(call.address)
    assert fresh is not None
    assert call.address not in made.blocks
    found = _again(kept).take(_code(), x86_64, DISASSEMBLE, 1)
    assert found is not None
    assert list(found.asked) == []

    def execute(*_: object) -> None:
        raise AssertionError("executed")

    vars(found)["execute"] = execute
    again = found.before(call.address)
    assert _state(again) == _state(fresh)
    assert again is not None
    again.regs.clear()  # the caller's, to be changed at will
    assert _state(found.before(call.address)) == _state(fresh)
    with pytest.raises(AssertionError, match="executed"):
        found.before(call.end)


def test_damaged_records_are_no_answers() -> None:
    flow = FunctionFlow(_code(), x86_64, DISASSEMBLE, 1)
    assert flow.before(BASE + 17) is not None
    whole = pack(flow, array("Q", (1, 2)))
    numbers, rest = unpack(whole, meanings(x86_64))
    assert numbers.tolist() == [1, 2]
    assert list(rest().insns) == list(flow.insns)
    for size in range(len(whole)):
        with pytest.raises(Damaged):
            unpack(whole[:size], meanings(x86_64))[1]()
    # As if somebody had made the checksums right.
    plain = bytearray(zlib.decompress(whole))
    rng = random.Random(7)
    refused = 0
    for _ in range(3000):
        changed = bytearray(plain)
        for _ in range(rng.choice((1, 1, 3, 40))):
            changed[rng.randrange(len(changed))] = rng.randrange(256)
        cut = changed[: rng.randrange(len(changed))] if rng.random() < 0.2 else changed
        try:
            parts = unpack(zlib.compress(cut), meanings(x86_64))[1]()
            for states in (parts.blocks, parts.before):
                for at in states:
                    assert isinstance(states[at], State)
            for insn in parts.insns.values():
                assert isinstance(insn.text, tuple)
                assert insn.ops is not None
        except Damaged:
            refused += 1
    assert 300 < refused < 2900
    with pytest.raises(Damaged):
        unpack(zlib.compress(bytes(MAX_UNPACKED + 1)), meanings(x86_64))


def test_a_damaged_table_of_records_is_no_answer() -> None:
    whole = _kept(_code(), 1).pack()
    rng = random.Random(8)
    for _ in range(2000):
        changed = bytearray(whole)
        changed[rng.randrange(64)] = rng.randrange(256)
        kept = KeptFlows.unpack(memoryview(bytes(changed[: rng.randrange(len(changed))])))
        assert kept.take(_code(), x86_64, DISASSEMBLE, 1) is None
    assert KeptFlows.unpack(memoryview(b"")).pack() == KeptFlows().pack()


def test_questions_that_no_analysis_asks_are_not_asked() -> None:
    asked: list[tuple[int, int]] = []

    class Counting(Bytes):
        def read(self, address: int, end: int) -> bytes:
            asked.append((address, end))
            return super().read(address, end)

    flow = FunctionFlow(_code(), x86_64, DISASSEMBLE, 1)
    for questions in (
        (1, 0, BASE - (1 << 40), BASE),
        (1, 0, BASE + 8, BASE),
        (1, 99, 0, 0),
        (1 << 40, 0, 0, 0),
        (2, 0, BASE, BASE + 8),
        (),
    ):
        record = bytes(16) + pack(flow, array("Q", questions))
        kept = KeptFlows({BASE: (1, record)})
        assert kept.take(Counting(_many(), _cold()), x86_64, DISASSEMBLE, 1) is None
    assert all(end - at <= 1 << 16 for at, end in asked)


def test_there_is_room_for_what_was_used_last() -> None:
    size = MAX_PACKED // 4
    kept = KeptFlows({n: (0, bytes(size)) for n in range(6)})
    assert kept._records.get(5) is not None
    again = _again(kept)
    assert [n for n, _ in again._records.items()] == [5, 0, 1, 2]


# In a dump


CORES = [Path(p) for p in os.environ.get("BTFDBG_KEPT_FLOWS", "").split(":") if p] or [NULL, HUNG]


@pytest.fixture(scope="module", params=CORES, ids=[core.name for core in CORES])
def core(request: pytest.FixtureRequest) -> Path:
    return Path(str(request.param))


def _session(core: Path, kept: KeptFlows | None) -> Session:
    session = btfdbg.session(btfdbg.program_from_core_dump(core))
    made = recovery(session)
    session.prog.cache["btfdbg.frames"] = Recovery(
        session, made.text, made.arch, made.disassemble, kept
    )
    return session


def _stacks(session: Session) -> Iterator[tuple[int, list[drgn.StackFrame]]]:
    for task in for_each_task(session.prog):
        try:
            yield task.value_(), list(session.prog.stack_trace(task))
        except (drgn.FaultError, ValueError, LookupError):
            continue


def _said(session: Session) -> dict[int, list[Lines]]:
    return {task: lines(session, frames) for task, frames in _stacks(session)}


def test_every_stack_says_the_same(core: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    truth = _said(_session(core, None))
    monkeypatch.setattr(recover, "_MAX_MADE", 1 << 10)  # all of them are looked at below
    kept = KeptFlows()
    first = _session(core, kept)
    assert _said(first) == truth
    fresh = recovery(first)._flows
    others = _again(kept)
    session = _session(core, others)
    if core == NULL:  # most of the other's code is not in it
        assert any(line.arguments for found in truth.values() for line in found)
        assert sum(not flow.problem for flow in fresh.values()) >= 4

    def never(flow: FunctionFlow, code: Code, *_: object) -> None:
        if not fresh[code.start].problem:
            raise AssertionError(f"{code.start:x} was known")
        flow._begin(code, recovery(session).arch, _decoded(code))
        flow.problem = fresh[code.start].problem

    monkeypatch.setattr(FunctionFlow, "__init__", never)
    assert _said(session) == truth
    assert not others.is_new
    for start, flow in recovery(session)._flows.items():
        assert _all(flow) == _all(fresh[start])


def test_analyses_that_give_way_to_others_are_taken_again(
    core: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    truth = _said(_session(core, None))
    monkeypatch.setattr(recover, "_MAX_MADE", 2)
    session = _session(core, KeptFlows())
    assert _said(session) == truth
    made = recovery(session)
    assert len(made._made) <= 2
    took = [start for start, _ in _records(made)]
    assert len(took) > 2 or core == HUNG
    session.prog.cache.pop("btfdbg.frames.lines", None)
    assert _said(session) == truth


def _records(made: Recovery) -> list[tuple[int, Any]]:
    assert made._kept is not None
    return list(made._kept._records.items())


def _decoded(code: Code) -> Any:
    from btfdbg.frames.blocks import Blocks

    return Blocks(code, x86_64, DISASSEMBLE)


def _around(made: Recovery) -> Iterator[int]:
    """Functions whose code lies in a page with that of a function that is on a stack."""
    pages = {start & -4096 for start in made._flows}
    for page in sorted(pages):
        at = page
        while at < page + 4096:
            sym = made.text.symbol(at)
            if sym is not None and sym.address >= page:
                yield sym.address
            at = max(sym.address + sym.size, at + 16) if sym is not None else at + 16


def test_every_function_that_is_in_the_dump(core: Path) -> None:
    session = _session(core, None)
    _said(session)
    made, kept, starts, count = recovery(session), KeptFlows(), [], 0
    for start in _around(made):
        function = made.text.function(start)
        if isinstance(function, str) or function.start != start:
            continue
        flow = kept.make(function, made.arch, made.disassemble, 0)
        if not flow.problem:
            starts.append((function, _all(flow)))
    again = _again(kept)
    for function, truth in starts:
        found = again.take(function, made.arch, made.disassemble, 0)
        assert found is not None, function.names
        assert _all(found) == truth, function.names
        assert again.take(function, made.arch, made.disassemble, 1) is None
        count += 1
    assert count > 10 or core == HUNG


def _run(core: Path, cache: Path) -> str:
    env = {**os.environ, "XDG_CACHE_HOME": str(cache)}
    env.pop("BTFDBG_NO_CACHE", None)
    argv = [sys.executable, "-m", "btfdbg", str(core), "-x", "bt -a", "-x", "bt"]
    return subprocess.run(argv, capture_output=True, text=True, env=env, check=True).stdout


def test_whatever_the_cache_has_the_answer_is_the_same(tmp_path: Path) -> None:
    truth = _run(NULL, tmp_path / "empty")
    (entry,) = (tmp_path / "empty" / "btfdbg").glob("flows-*")
    whole = entry.read_bytes()
    used = entry.stat().st_mtime_ns
    assert "cf_trigger" in truth
    assert "value=" in truth
    assert _run(NULL, tmp_path / "empty") == truth
    assert (entry.read_bytes(), entry.stat().st_mtime_ns) == (whole, used)  # nothing was new
    # Another kernel's, under this one's name.
    _run(HUNG, tmp_path / "other")
    for other in (tmp_path / "other" / "btfdbg").glob("flows-*"):
        entry.write_bytes(other.read_bytes())
        assert _run(NULL, tmp_path / "empty") == truth
    # Cut, and with bytes changed.
    for damaged in (whole[:100], whole[: len(whole) // 2], bytes(len(whole))):
        entry.write_bytes(damaged)
        assert _run(NULL, tmp_path / "empty") == truth
    changed = bytearray(whole)
    for at in range(60, len(changed), 97):
        changed[at] ^= 0x40
    entry.write_bytes(changed)
    assert _run(NULL, tmp_path / "empty") == truth


def test_another_build_of_the_analysis_finds_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from btfdbg.frames import kept_flows as module

    monkeypatch.delenv("BTFDBG_NO_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))

    class Owner:
        pass

    def opened(*what: Any) -> int:
        owner = Owner()
        kept = module.kept_flows(owner, *what)
        assert kept is not None
        found = kept.take(_code(), x86_64, DISASSEMBLE, 1)
        if found is None:
            kept.make(_code(), x86_64, DISASSEMBLE, 1)
        del owner
        return found is not None

    same = ("x86_64", "id", BASE, b"5")
    assert [opened(*same), opened(*same)] == [False, True]
    assert not opened("x86_64", "id", BASE, b"6")
    assert not opened("x86_64", "other", BASE, b"5")
    assert not opened("x86_64", "id", BASE + 4096, b"5")
    assert opened(*same)
    monkeypatch.setattr(module, "_makers", lambda machine: b"another")
    assert not opened(*same)
    assert module.kept_flows(Owner(), "x86_64", "id", BASE, None) is None
    monkeypatch.setenv("BTFDBG_NO_CACHE", "1")
    assert module.kept_flows(Owner(), *same) is None


def test_arm64_too() -> None:
    code = Bytes(bytes.fromhex("fd7bbfa9 f30b00f9 f30300aa 600240f9 c0035fd6".replace(" ", "")))
    disassemble = open_disassembler("aarch64")
    kept = KeptFlows()
    fresh = kept.make(code, arm64, disassemble, 0)
    found = _again(kept).take(code, arm64, disassemble, 0)
    assert found is not None
    assert fresh.problem == ""
    assert _all(found) == _all(fresh)


def test_all_that_an_analysis_is_made_by_is_in_the_key() -> None:
    """A change of a module that it imports must not leave what the old one made."""
    import ast

    from btfdbg.frames import kept_flows as module

    folder = Path(module.__file__).parent
    todo, seen = ["flow", "agreement", "packed_flow", "x86_64", "arm64"], set[str]()
    while todo:
        name = todo.pop()
        if name in seen:
            continue
        seen.add(name)
        tree = ast.parse((folder / f"{name}.py").read_text("utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and node.module is not None:
                package, _, imported = node.module.rpartition(".")
                if package == "btfdbg.frames":
                    todo.append(imported)
    assert seen <= {*module._MAKERS, "x86_64", "arm64"}
    for machine in ("x86_64", "aarch64"):
        assert module._makers(machine) is not None
    assert module._makers("x86_64") != module._makers("aarch64")
