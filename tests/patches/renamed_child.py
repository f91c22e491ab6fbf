"""Run the prompt's commands with a drgn in which one name is another.

``python -m tests.patches.renamed_child MODULE NAME CORE``: renames NAME in all of drgn's sources
as they are imported, consistently, as an upstream commit would; runs lines; prints how many
there were, on the last line. The installed files stay as they are.
"""

from __future__ import annotations

import importlib
import importlib.machinery
import re
import sys
from collections.abc import Sequence
from types import CodeType, ModuleType

LINES = (
    "sys", "ps", "ps -m", "ps -p 1", "ps --json", "bt", "bt -f 1", "foreach 1 2 bt", "foreach vm",
    "foreach RU ps", "foreach 1 files", "foreach 1 sig", "foreach 1 task -R prio", "vm 1", "mod",
    "log | tail -3", "irq", "net", "net -a", "mount", "files 1", "dev", "dev -d", "runq", "timer",
    "swap", "ipcs", "kmem -i", "vtop ffffffff81000000", "rd linux_banner 4", "rd -p 1000000 2",
    "rd runqueues", "p runqueues.nr_running", "p runqueues", "struct rq.nr_running runqueues",
    "struct list_head", "whatis runqueues", "id runqueues", "sym init_task", "task 1", "set 1",
    "search -p -s 1000000 -e 1001000 dead000000000100", "search -t dead000000000100",
    "help", "help bt", "bt --help", "p/x init_task.pid",
    "sorted(t.pid.value_() for t in for_each_task(prog))[:3]",
    "[hex(e.value_()) for _, _, e in mt_for_each(prog['sparse_irqs'].address_of_())][:3]",
    "[i for i, e in idr_for_each(prog['init_pid_ns'].idr)][:3]",
    "list_count_nodes(prog['slab_caches'].address_of_())",
    "list(for_each_online_cpu(prog)), num_online_cpus(prog)",
)  # fmt: skip
_OTHER = "_of_another_drgn"


class _Loader(importlib.machinery.SourceFileLoader):
    pattern: re.Pattern[bytes]
    other: bytes

    def get_code(self, fullname: str) -> CodeType:
        path = self.get_filename(fullname)
        source = self.pattern.sub(self.other, self.get_data(path))
        code: CodeType = compile(source, path, "exec", dont_inherit=True)
        return code


class _Finder:
    """Finds drgn's modules, with a loader that renames."""

    def __init__(self, missing: str) -> None:
        self.missing = missing

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if name.partition(".")[0] not in ("drgn", "_drgn_util"):
            return None
        if name == self.missing:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        spec = importlib.machinery.PathFinder.find_spec(name, path, target)
        if spec is not None and isinstance(spec.loader, importlib.machinery.SourceFileLoader):
            spec.loader = _Loader(name, spec.loader.path)
        return spec


def rename(module: str, name: str) -> None:
    """Rename a function, class attribute or module in all of drgn."""
    word = name.rpartition(".")[2]
    _Loader.other = (word + _OTHER).encode()
    text = re.escape(word).encode()
    if "." in name and not word.startswith("_"):
        # A method of a common name: where it is defined, and where it is called.
        pattern = rb"(?<=def )" + text + rb"(?=\(self)|(?<=\.)" + text + rb"(?=\(\))"
    else:
        pattern = rb"\b" + text + rb"\b" if word else rb"(?!)"
    _Loader.pattern = re.compile(pattern)
    sys.meta_path.insert(0, _Finder("" if name else module))
    in_c = importlib.import_module("_drgn")
    if word and hasattr(in_c, word):
        setattr(in_c, word + _OTHER, getattr(in_c, word))
        delattr(in_c, word)


def main(module: str, name: str, core: str) -> None:
    """Rename, and run every line."""
    rename(module, name)
    import drgn

    from btfdbg.commands import define, namespace
    from btfdbg.commands.evaluate import prepare, run_line
    from btfdbg.patches.install import skipped
    from btfdbg.program.attach import attach
    from btfdbg.program.plugins import skip_own_plugins
    from btfdbg.vmcore import open_core

    skip_own_plugins()  # as the command line does
    prog, info = open_core(core)
    session = attach(prog, None, info)
    drgn.set_default_prog(prog)
    state = prepare(session)
    state.names["idle"] = 0
    namespace.load_commands()
    # What ``tb`` shows is a traceback.
    owned = (d for d in define.DEFINITIONS.values() if d.name != "tb")
    examples = [line for d in owned for line, _ in d.examples]
    good = 0
    for line in (*LINES, *examples):
        print(f"--- {line}", flush=True)
        print(f"--- {line}", file=sys.stderr, flush=True)
        try:
            good += run_line(session, line)
        except SystemExit:
            pass
    print(f"{good} of {len(LINES) + len(examples)} lines, {len(skipped())} rows left out")


if __name__ == "__main__":
    main(*sys.argv[1:])
