"""Nothing of a dump is run, or chooses a file; nothing is written but where it should be."""

from __future__ import annotations

import ast
import re
import shutil
from pathlib import Path

import pytest

from btfdbg.cache import Cache
from btfdbg.errors import DebugInfoError
from btfdbg.program.modules_dir import ModulesDir
from btfdbg.variables.extra import find_file
from tests.faults.support import BTFDBG, environment, files_below, run

PACKAGE = Path(__file__).parents[2] / "btfdbg"

# Every place that runs code or starts a program, and whose words those are.
RUNS = {
    ("commands/execute.py", "exec"): "-e CODE and standard input: the user's",
    ("commands/execute.py", "compile"): "-e CODE and standard input: the user's",
    ("commands/execute.py", "call"): "not subprocess.call: what runs the user's script",
    ("commands/execute.py", "run_path"): "SCRIPT: the user's",
    ("commands/evaluate.py", "exec"): "lines of the prompt: the user's",
    ("commands/evaluate.py", "compile"): "lines of the prompt: the user's",
    ("commands/values.py", "eval"): "arguments of commands: the user's",
    ("commands/values.py", "compile"): "arguments of commands: the user's",
    ("program/extensions.py", "run_path"): "the user's own, which only they may write",
    ("cdecl/expression.py", "call"): "not subprocess.call: what parses a call in an expression",
    ("patches/packages.py", "exec_module"): "drgn's own package, found as an import finds it",
    ("patches/task_states.py", "call"): "not subprocess.call: the helper that was asked for",
    ("commands/output.py", "Popen"): "the user's pager and pipelines",
    ("report/triage/on_dask.py", "Popen"): "a Python of ours; what it reads is told on its stdin",
    ("lazy_dataclass.py", "exec"): "the fields of a class of ours, as dataclasses does",
    ("repl/prompt.py", "exec"): "the user's rc.py, which only they may write",
    ("repl/prompt.py", "compile"): "the user's rc.py, which only they may write",
}
_RUNNERS = {
    "eval", "exec", "compile", "run_path", "run_module", "exec_module", "system", "popen", "Popen",
    "call", "check_call", "check_output", "spawnv", "execv", "execvp", "posix_spawn",
}  # fmt: skip
_MODULES = {"pickle", "marshal", "shelve", "dill", "yaml"}


def calls(path: Path) -> set[str]:
    """Names of the functions that a file calls, of those that run something."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Call):
            function = node.func
            name = getattr(function, "id", getattr(function, "attr", ""))
            # re.compile() and the like: only the builtin compiles code.
            if name == "compile" and not isinstance(function, ast.Name):
                continue
            if name in _RUNNERS:
                found.add(name)
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            names = [a.name for a in node.names] + [getattr(node, "module", None) or ""]
            found.update(n for n in names if n.partition(".")[0] in _MODULES)
    return found


def test_only_the_users_own_words_are_run() -> None:
    found = {
        (str(path.relative_to(PACKAGE)), name)
        for path in PACKAGE.rglob("*.py")
        for name in calls(path)
    }
    assert not found - set(RUNS), "who wrote what is run there?"
    assert found & {("commands/execute.py", "exec"), ("commands/output.py", "Popen")}


@pytest.mark.parametrize("build_id", ["../../../etc/passwd", "..", "", "0123/../45", "0" * 65, "é"])
def test_a_build_id_chooses_no_file_but_its_own(
    build_id: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "btfdbg" / "btf-extra"
    folder.mkdir(parents=True)
    (tmp_path / "passwd.btf").write_bytes(b"")
    (folder / ".btf").write_bytes(b"")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert find_file(build_id) is None


@pytest.mark.parametrize("name", ["../../secret", "/etc/passwd", "..", "", "secret\0"])
def test_a_modules_name_chooses_no_file_outside_the_folder(name: str, tmp_path: Path) -> None:
    (tmp_path / "secret.ko").write_bytes(b"")
    inside = tmp_path / "a" / "b"
    inside.mkdir(parents=True)
    (inside / "good.ko").write_bytes(b"")
    folder = ModulesDir(inside)
    assert folder.find("good") == inside / "good.ko"
    assert folder.find(name) is None
    with pytest.raises(DebugInfoError):
        folder.load(name, None)  # type: ignore[arg-type] # never looked at


@pytest.mark.parametrize("kind", ["../x", "a/b", "", "A", "x" * 33, "a\0"])
def test_a_kind_of_cache_entry_is_no_path(kind: str, tmp_path: Path) -> None:
    from btfdbg.cache import CacheKey

    with pytest.raises(ValueError, match="kind"):
        Cache(str(tmp_path)).store(CacheKey.of("../../x"), kind, b"")


def test_a_session_writes_only_below_its_folders(oops_core: Path, tmp_path: Path) -> None:
    home, work, temporary = (tmp_path / name for name in ("home", "work", "tmp"))
    for folder in (home, work, temporary):
        folder.mkdir()
    core = work / "core"
    shutil.copy(oops_core, core)
    before = core.read_bytes()
    env = environment(home, TMPDIR=str(temporary))
    result = run(core, "-x", "ps", "-x", "bt", "-x", "log", "-e", "1", env=env, cwd=work)
    assert result.status == 0
    assert run("info", core, env=env, cwd=work).status == 0
    assert files_below(work) == ["core"]
    assert files_below(temporary) == []
    assert all(re.match(r"\.(cache|local/state|config)/btfdbg/", f) for f in files_below(home))
    assert core.read_bytes() == before


_OPENED = re.compile(r'open(?:at)?\((?:AT_FDCWD, |\d+, )?"([^"]*)", ([A-Z_|]+)')


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")
def test_no_file_is_even_opened_for_writing_elsewhere(oops_core: Path, tmp_path: Path) -> None:
    home, trace = tmp_path / "home", tmp_path / "trace"
    home.mkdir()
    program = ["strace", "-f", "-qq", "-o", str(trace), "-e", "trace=open,openat,creat,rename,"
               "renameat,renameat2,unlink,mkdir,mkdirat,symlink,link,truncate"]  # fmt: skip
    done = run(
        oops_core, "-x", "ps", "-x", "mod", env=environment(home), program=[*program, *BTFDBG]
    )
    if done.status and not trace.exists():
        pytest.skip("strace may not trace here")
    wrong = []
    for line in trace.read_text("utf-8", "replace").splitlines():
        opened = _OPENED.search(line)
        if opened is None:
            if "mkdir" in line and str(home) not in line:
                wrong.append(line)
            continue
        path, flags = opened.groups()
        if not {"O_WRONLY", "O_RDWR", "O_CREAT"} & set(flags.split("|")):
            continue
        relative = not path.startswith("/")  # below a folder that was opened, ours
        if not (relative or path.startswith((str(home), "/dev/null", "/dev/tty"))):
            wrong.append(line)
    assert wrong == []
