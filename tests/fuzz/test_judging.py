"""The fuzzer's judge finds what it is there for: every kind of defect, planted."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fuzz.campaign import Chunk, _rest

_ROOT = Path(__file__).parents[2]

# Run in a process of its own, which may fork. In place of one command there is
# each of the mistakes in turn.
_PLANT = """
import json, os, signal, sys
from pathlib import Path
from btfdbg.commands import execute
from tests.fuzz import sandbox
from tests.fuzz.campaign import Bench
from tests.fuzz.dumpfile import Edit

def killed(): os.kill(os.getpid(), signal.SIGSEGV)
def hang():
    while True: pass
def memory(): bytearray(600 << 20)
def control(): print(chr(27) + "[2J")
def stray(): os.write(1, b"past sys.stdout")
def stray_file(): open("/tmp/btfdbg-fuzz-planted", "w")
def stray_here(): open("planted", "w")
def stray_there():
    folder = os.open("/tmp", os.O_DIRECTORY)
    os.close(os.open("btfdbg-fuzz-planted", os.O_CREAT | os.O_WRONLY, dir_fd=folder))
def traceback(): raise RuntimeError("planted")
def status(): return 7
def wrong(): print("another answer")
def none(): pass

sandbox.CPU_SECONDS = 1
bench = Bench(Path(sys.argv[1]), "planted")
real = execute.run_commands
found = {}
try:
    for plant in (killed, hang, memory, control, stray, stray_file, traceback,
                  status, wrong, none, stray_there, stray_here):
        def run(session, commands, plant=plant):
            if commands == ["mount"]:
                code = plant()
                if code is not None:
                    return code
            return real(session, commands)
        execute.run_commands = run
        nothing = Edit("nothing", (), None, frozenset())
        outcome, _ = bench.run(nothing)
        found[plant.__name__] = sorted({d.partition(":")[0] for d in outcome.defects})
finally:
    bench.close()
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def found() -> dict[str, list[str]]:
    from tests.conftest import bundled_dumps

    core = next((p for p, e in bundled_dumps() if e["arch"] == "arm64" and p.exists()), None)
    if core is None:
        pytest.skip("no arm64 dump is bundled")
    done = subprocess.run(
        [sys.executable, "-c", _PLANT, core], cwd=_ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    answer: dict[str, list[str]] = json.loads(done.stdout.splitlines()[-1])
    return answer


@pytest.mark.parametrize(
    ("plant", "kinds"),
    [
        ("killed", ["killed"]),
        ("hang", ["hang"]),
        ("memory", ["memory"]),
        ("control", ["control", "wrong"]),
        ("stray", ["stray"]),
        ("stray_file", ["stray"]),
        ("stray_here", ["stray"]),
        ("stray_there", ["stray"]),
        ("traceback", ["traceback"]),
        ("status", ["status", "wrong"]),
        ("wrong", ["wrong"]),
        ("none", []),
    ],
)
def test_a_planted_mistake_is_judged(
    plant: str, kinds: list[str], found: dict[str, list[str]]
) -> None:
    assert found[plant] == kinds


def test_a_chunk_that_was_ended_early_goes_on_where_it_stopped(tmp_path: Path) -> None:
    chunk = Chunk(tmp_path / "a.elf", 100, 100)
    assert _rest(chunk, {}) == chunk
    assert _rest(chunk, {("a", 0): 100, ("b", 100): 100}) == chunk
    assert _rest(chunk, {("a", 100): 40}) == Chunk(chunk.base, 140, 60)
    assert _rest(chunk, {("a", 100): 40, ("a", 140): 60}) is None
