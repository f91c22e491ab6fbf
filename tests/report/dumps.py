"""What reports say of dumps, beside what their makers know: ``python -m tests.report.dumps``.

Reads each ``.vmcore`` with the manifest beside it (``.vmcore.json``, see ``corefiles``): its
scenario, the kind and the guilty function or module that the builder states. Prints a line per
dump and the figures: kinds right, JSON that fits its schema, one title per scenario, never
two scenarios with one title.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

_ONE = """
import json, resource, sys
from importlib.resources import files
import jsonschema
import btfdbg
from btfdbg.report.whole import report
from btfdbg.report.as_json import as_dict
prog = btfdbg.program_from_core_dump(sys.argv[1])
opened = sum(resource.getrusage(resource.RUSAGE_SELF)[:2])
found = as_dict(report(btfdbg.session(prog)))
spent = sum(resource.getrusage(resource.RUSAGE_SELF)[:2]) - opened
schema = json.loads((files("btfdbg.report") / "report.schema.json").read_text())
validator = jsonschema.Draft202012Validator(schema)
broken = [e.json_path for e in validator.iter_errors(json.loads(json.dumps(found)))]
failed = [s["id"] for s in found["sections"] if s["why"]]
print(json.dumps([found["kind"], found["signature"]["title"], found["verdict"], found["doubts"],
                  failed, spent, broken]))
"""

# The words of the builder's manifests for kinds of ours.
_SAME: dict[str, set[str]] = {
    "panic-by-hand": {"sysrq"},
    "nmi": {"sysrq"},
    "bad-access": {"bad-access", "general-protection-fault"},
}


def one(path: Path) -> list[Any] | str:
    """What ``_ONE`` prints of a dump; or why there is nothing."""
    done = subprocess.run(
        [sys.executable, "-c", _ONE, str(path)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        return done.stderr.strip().rpartition("\n")[2]
    found: list[Any] = json.loads(done.stdout)
    return found


def main() -> int:
    """Print the table and the figures."""
    parser = argparse.ArgumentParser(prog="python -m tests.report.dumps")
    parser.add_argument("paths", nargs="+", type=Path, help="dumps or folders of them")
    args = parser.parse_args()
    dumps = [f for p in args.paths for f in ([p] if p.is_file() else sorted(p.glob("*.vmcore")))]
    titles: dict[str, set[str]] = defaultdict(set)
    right = judged = read = valid = 0
    for path in dumps:
        manifest = Path(f"{path}.json")
        entry = json.loads(manifest.read_text()) if manifest.exists() else {}
        expect = entry.get("expect", {})
        kind, guilty = expect.get("kind", ""), expect.get("guilty", "")
        found = one(path)
        if isinstance(found, str):
            print(f"FAILED  {path.name}: {found}")
            continue
        said, title, verdict, doubts, failed, spent, broken = found
        titles[title].add(entry.get("scenario", path.name))
        read += 1
        valid += not broken
        fits = not kind or said in _SAME.get(kind, {kind})
        guilty = guilty if isinstance(guilty, str) else " ".join(map(str, guilty.values()))
        if kind:
            judged += 1
            right += fits
        print(f"{'ok   ' if fits else 'WRONG'} {path.name} [{spent:.1f} s] {title}")
        print(f"      {verdict}")
        if not fits or guilty:
            print(f"      expected: {kind} {guilty}")
        for doubt in doubts:
            print(f"      ! {doubt}")
        if failed:
            print(f"      sections that ended early: {', '.join(failed)}")
        if broken:
            print(f"      JSON breaks the schema at {', '.join(broken[:5])}")
    print(f"JSON fits the schema: {valid} of {read}")
    shared = {title: names for title, names in titles.items() if len(names) > 1}
    print(f"kinds right: {right} of {judged}; titles that several scenarios have: {shared}")
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss >> 10
    print(f"peak memory of a process: {peak} MiB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
