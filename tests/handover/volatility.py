"""volatility3's linux plugins over an image, with our symbol table and with pakunoda's.

    python -m tests.handover.volatility IMAGE [--plugins REGEX] [--rows FOLDER] [--json FILE]

Prints a line for each plugin: works (how many rows), or fails (the error). Needs
volatility3 and, for the second column, pakunoda, both from PyPI. IMAGE is what volatility
reads: raw or LiME, of a kernel with 4-level page tables.

A plugin runs in a process of its own, forked from one that has found the kernel already,
so that one that hangs or takes all memory spoils no other.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

CPU_SECONDS = 600
"""CPU time that a plugin may take."""
TIMEOUT = 3600
"""Seconds after which one that waits for nothing is given up."""


def isf_of(image: str, folder: Path) -> Path:
    """Our table."""
    out = folder / "btfdbg.json.xz"
    subprocess.run(
        [
            sys.executable, "-m", "btfdbg.cli.main", "isf", image, "-o", str(out),
            "--as-dwarf2json",
        ],
        check=True,
    )  # fmt: skip
    return out


def isf_of_pakunoda(image: str, folder: Path) -> Path | None:
    """pakunoda's table, or None if it is not installed or makes none."""
    program = shutil.which("pakunoda") or str(Path(sys.executable).with_name("pakunoda"))
    if not os.path.exists(program):
        return None
    out = folder / "pakunoda.json"
    done = subprocess.run(
        [program, "extract", image, "-o", str(out)], capture_output=True, text=True, check=False
    )
    if done.returncode or not out.exists():
        print(f"pakunoda: exit {done.returncode}: {done.stderr[-500:]}", file=sys.stderr)
        return None
    return out


class _Kernel:
    """An image that volatility has found its kernel in."""

    def __init__(self, image: str, table: Path) -> None:
        import volatility3.plugins
        import volatility3.symbols
        from volatility3 import framework, schemas
        from volatility3.framework import automagic, constants, contexts, plugins

        # Validating 40 MB takes minutes; tests/handover/test_isf.py does it, of fewer symbols.
        schemas.validate = lambda *_, **__: True
        folder = table.parent / f"symbols-{table.stem}"
        folder.mkdir(exist_ok=True)
        shutil.copy(table, folder / table.name)
        constants.CACHE_PATH = str(table.parent / f"cache-{table.stem}")
        constants.IDENTIFIERS_FILENAME = os.path.join(constants.CACHE_PATH, "identifier.cache")
        os.makedirs(constants.CACHE_PATH, exist_ok=True)
        constants.OFFLINE = True
        volatility3.symbols.__path__ = [str(folder), *framework.constants.SYMBOL_BASEPATHS]
        framework.import_files(volatility3.plugins, True)
        self.plugins = {
            name: plugin
            for name, plugin in framework.list_plugins().items()
            if name.startswith("linux.")
        }
        self.context = context = contexts.Context()
        context.config["automagic.LayerStacker.single_location"] = Path(image).absolute().as_uri()
        first = self.plugins["linux.pslist.PsList"]
        magics = automagic.choose_automagic(automagic.available(context), first)
        made = plugins.construct_plugin(context, magics, first, "plugins", None, None)
        self.module = made.config["kernel"]
        self.layer = context.modules[self.module].layer_name

    def run(self, name: str) -> tuple[str, list[list[str]]]:
        """What became of a plugin, and its rows."""
        from volatility3.framework import interfaces

        plugin = self.plugins[name]
        path = f"plugins.{plugin.__name__}"
        config = self.context.config
        config[f"{path}.kernel"] = self.module
        config[f"{path}.primary"] = self.layer
        for key, value in self._arguments(name).items():
            config[f"{path}.{key}"] = value
        missing = plugin.unsatisfied(self.context, path)
        if missing:
            names = ", ".join(sorted(key.rpartition(".")[2] for key in missing))
            return f"needs arguments: {names}", []
        made = plugin(self.context, path)
        made.set_open_method(_nowhere(interfaces.plugins.FileHandlerInterface))
        rows: list[list[str]] = []

        def visit(node: Any, _: None) -> None:
            rows.append([_text(value) for value in node.values])

        error = made.run().populate(visit, None, fail_on_errors=False)
        return ("fails: " + _one_line(error)) if error else "works", rows

    def _arguments(self, name: str) -> dict[str, str | int]:
        """What a plugin wants to be told: a text that each environment has, the newest module."""
        if name.endswith(".VmaRegExScan"):
            return {"pattern": "PATH="}
        if name.endswith(".VmaYaraScan"):  # there where yara-python is installed
            return {"yara_string": "PATH="}
        if name.endswith(".ModuleExtract"):
            from volatility3.framework.symbols.linux.utilities.modules import Modules

            newest = next(iter(Modules.list_modules(self.context, self.module)))
            return {"base": int(newest.vol.offset)}
        return {}


def _nowhere(interface: Any) -> Any:
    """What a plugin opens for the files that it extracts: nothing is kept."""

    class Nowhere(interface):  # type: ignore[misc]
        _at = 0

        def writable(self) -> bool:
            return True

        def write(self, data: bytes) -> int:
            self._at += len(data)
            return len(data)

        def seekable(self) -> bool:
            return True

        def tell(self) -> int:
            return self._at

        def seek(self, offset: int, whence: int = 0) -> int:
            self._at = offset + (self._at if whence == 1 else 0)
            return self._at

        def close(self) -> None:
            return

    return Nowhere


def _text(value: object) -> str:
    try:
        return str(value)
    except Exception as e:
        return repr(e)


def _one_line(error: object) -> str:
    return f"{type(error).__name__}: {error}".split("\n", 1)[0][:120]


def _child(kernel: _Kernel, name: str, pipe: Any) -> None:
    import logging
    import resource
    import warnings

    warnings.simplefilter("ignore")
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))
    logging.disable(logging.CRITICAL)
    try:
        answer = kernel.run(name)
    except BaseException as e:
        answer = (f"fails: {_one_line(e)}", [])
    pipe.send(answer)
    pipe.close()
    print(f"  {time.process_time():.1f} s of CPU", file=sys.stderr, flush=True)


def run_all(image: str, table: Path, wanted: str) -> dict[str, tuple[str, list[list[str]]]]:
    """What became of each plugin."""
    try:
        kernel = _Kernel(image, table)
    except Exception as e:
        print(f"{table.name}: volatility finds no kernel: {_one_line(e)}", file=sys.stderr)
        return {}
    fork = multiprocessing.get_context("fork")
    results = {}
    for name in sorted(kernel.plugins):
        if not re.search(wanted, name):
            continue
        ours, theirs = fork.Pipe(duplex=False)
        child = fork.Process(target=_child, args=(kernel, name, theirs))
        child.start()
        theirs.close()
        results[name] = _answer(ours)
        print(f"{table.stem} {name}: {results[name][0]}", file=sys.stderr, flush=True)
        child.kill()
        child.join()
    return results


def _answer(pipe: Any) -> tuple[str, list[list[str]]]:
    if not pipe.poll(TIMEOUT):
        return f"fails: no end after {TIMEOUT} s", []
    try:
        answer: tuple[str, list[list[str]]] = pipe.recv()
    except EOFError:
        return "fails: the process died", []
    return answer


def main(argv: list[str] | None = None) -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m tests.handover.volatility")
    parser.add_argument("image", metavar="IMAGE")
    parser.add_argument("--plugins", metavar="REGEX", default="")
    parser.add_argument("--rows", metavar="FOLDER", type=Path, help="write each plugin's rows")
    parser.add_argument("--json", metavar="FILE", type=Path, help="write the table too")
    parser.add_argument(
        "--tables", metavar="FILE", type=Path, nargs="*", default=[], help="btfdbg.* or pakunoda.*"
    )
    parser.add_argument("--only-ours", action="store_true", help="leave pakunoda out")
    args = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        tables: dict[str, Path | None] = {}
        for tool, make in (("btfdbg", isf_of), ("pakunoda", isf_of_pakunoda)):
            if tool == "pakunoda" and args.only_ours:
                continue
            start = time.monotonic()
            tables[tool] = table = _given(tool, args.tables, folder) or make(args.image, folder)
            size = 0 if table is None else table.stat().st_size
            print(f"{tool}: a table of {size} bytes in {time.monotonic() - start:.1f} s")
        results = {
            tool: {} if table is None else run_all(args.image, table, args.plugins)
            for tool, table in tables.items()
        }
    report(results)
    if args.rows:
        args.rows.mkdir(parents=True, exist_ok=True)
        for tool, found in results.items():
            for plugin, (_, rows) in found.items():
                text = "\n".join("\t".join(row) for row in rows)
                (args.rows / f"{plugin}.{tool}").write_text(text + "\n", errors="replace")
    if args.json:
        args.json.write_text(json.dumps(results, indent=1))
    return 0


def _given(tool: str, files: list[Path], folder: Path) -> Path | None:
    """A table that was made before, by the name of its tool."""
    found = next((path for path in files if path.name.startswith(tool)), None)
    return None if found is None else Path(shutil.copy(found, folder))


def report(results: dict[str, dict[str, tuple[str, list[list[str]]]]]) -> None:
    """Print a line for each plugin, and the sums."""
    every = sorted({name for found in results.values() for name in found})
    for name in every:
        cells = []
        for tool, found in results.items():
            status, rows = found.get(name, ("not run", []))
            cells.append(f"{tool}: {status}, {len(rows)} rows")
        same = len({str(sorted(f[name][1])) for f in results.values() if name in f}) == 1
        mark = "" if len(results) < 2 else "  = " if same else "  ! "
        print(f"{name:45}{mark}{' | '.join(cells)}")
    for tool, found in results.items():
        works = [n for n, (status, _) in found.items() if status == "works"]
        full = [n for n in works if found[n][1]]
        needs = [n for n, (status, _) in found.items() if status.startswith("needs")]
        fails = len(found) - len(works) - len(needs)
        print(
            f"{tool}: {len(works)} of {len(found)} work ({len(full)} with rows), {fails} fail,"
            f" {len(needs)} need arguments"
        )


if __name__ == "__main__":
    sys.exit(main())
