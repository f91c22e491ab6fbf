"""What a report says in all its forms, and what the prompt's commands say of the same things."""

from __future__ import annotations

import html
import json
import re
import subprocess
import sys
from collections import Counter
from datetime import datetime, timezone
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from btfdbg.report.logs.lines import printable
from tests.report.test_doors import EACH, command_line
from tests.report.test_doors import said as output

pytestmark = pytest.mark.slow

COMMANDS = (
    "ctx -s verdict", "sys", "ps -S", "mod", "mount", "dev -d", "runq", "log", "kmem -i", "kmem -s",
)  # fmt: skip


PROMPT = """\
import contextlib, io, json, sys
import btfdbg
from btfdbg.commands.evaluate import prepare, run_line
from btfdbg.patches import install
install.install_helpers()
session = btfdbg.session(btfdbg.program_from_core_dump(sys.argv[1]))
prepare(session)
said = {}
for command in sys.argv[2:]:
    with contextlib.redirect_stdout(io.StringIO()) as out:
        run_line(session, command)
    said[command] = out.getvalue().splitlines()
print(json.dumps(said))
"""


@cache
def prompt(core: Path) -> dict[str, list[str]]:
    """Lines of each command."""
    found: dict[str, list[str]] = output("-c", PROMPT, str(core), *COMMANDS)
    return found


def section(core: Path, name: str) -> dict[str, Any]:
    (found,) = (one for one in command_line(core)["sections"] if one["id"] == name)
    return found  # type: ignore[no-any-return]


def rows(core: Path, name: str) -> list[list[Any]]:
    return [
        row for item in section(core, name)["items"] if item["type"] == "table"
        for row in item["rows"]
    ]  # fmt: skip


def texts(value: Any, key: str = "") -> list[str]:
    """Every text that a report shows a person."""
    if isinstance(value, str):
        hidden = ("type", "level", "kind", "id", "format", "from", "to", "why", "unit", "cycle")
        return [] if key in hidden or not value.strip() else [value]
    if isinstance(value, dict):
        return [text for name, one in value.items() for text in texts(one, name)]
    if isinstance(value, list):
        return [text for one in value for text in texts(one, key)]
    return []


def written(core: Path, form: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "btfdbg", "report", str(core), *([form] if form else [])],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return done.stdout


def flat(text: str) -> str:
    """A text without the places where lines may break."""
    return re.sub(r"\s+", "", text)


@EACH
def test_text_and_page_hold_all_that_json_holds(core: Path) -> None:
    said = command_line(core)
    shown = {key: said[key] for key in ("verdict", "evidence", "doubts")}
    titles = [one["title"] for one in said["sections"]]
    wanted = texts(shown) + texts([one["items"] for one in said["sections"]])
    plain = flat(written(core, ""))
    page = flat(html.unescape(re.sub(r"<[^>]*>", "", written(core, "--html"))))
    for text in wanted:
        assert flat(text) in plain, text
        assert flat(text) in page, text
    for title in titles:
        assert flat(title.upper()) in plain
        assert flat(title) in page
    assert flat(said["signature"]["title"]) in plain
    assert flat(said["signature"]["title"]) in page


@EACH
def test_sys_and_the_report_agree_on_the_machine(core: Path) -> None:
    sys_ = dict(re.findall(r"^ *([A-Z ]+): (.*)$", "\n".join(prompt(core)["sys"]), re.MULTILINE))
    said = dict(rows(core, "system"))
    assert said["kernel"] == sys_["RELEASE"]
    assert said["host"] == sys_["NODENAME"]
    assert said["build"] == sys_["VERSION"]
    assert said["CPUs"] == sys_["CPUS"]
    assert said["architecture"] == sys_["MACHINE"]
    assert said["up for"] == sys_["UPTIME"]
    assert said["load"] == sys_["LOAD AVERAGE"]
    there = datetime.fromisoformat(said["date"].removesuffix(" UTC")).replace(tzinfo=timezone.utc)
    assert re.findall(r"\d\d:\d\d:\d\d", sys_["DATE"]) == [f"{there.astimezone():%H:%M:%S}"]
    megabytes = float(said["memory"].split()[0].replace(",", ""))
    size, unit = re.fullmatch(r"([\d.]+)([MG])", sys_["MEMORY"]).groups()  # type: ignore[union-attr]
    assert abs(megabytes - float(size) * {"M": 1, "G": 1024}[unit]) < (1 if unit == "M" else 60)
    tasks = int(said["tasks"].partition(", ")[0].replace(",", ""))
    assert tasks + len(rows(core, "cpus")) == int(sys_["TASKS"])
    taints = set(re.findall(r"(?:BY |by |, )([A-Z]): ", sys_.get("KERNEL", "")))
    lines = [item["text"] for item in section(core, "system")["items"] if item["type"] == "line"]
    told = next(line for line in lines if "ainted" in line)
    assert set(re.findall(r"(?:Tainted: |; )([A-Z]): ", told)) == taints


@EACH
def test_ps_and_the_report_count_the_same_states(core: Path) -> None:
    counted = {
        m[1]: int(m[2]) for m in re.finditer(r"([A-Z]): (\d+)", " ".join(prompt(core)["ps -S"]))
    }
    (bars,) = (item for item in section(core, "blocked")["items"] if item["type"] == "bars")
    said: Counter[str] = Counter()
    for row in bars["rows"]:
        said[row["label"][0]] += int(row["amount"])
    said["R"] += len(rows(core, "cpus"))  # the idle ones
    assert dict(said) == counted


@EACH
def test_lists_are_as_long_as_the_commands_that_print_them(core: Path) -> None:
    by = prompt(core)
    modules = next(i["text"] for i in section(core, "modules")["items"] if i["type"] == "line")
    assert int(re.match(r"\d+", modules)[0]) == len(by["mod"]) - 1  # type: ignore[index]
    mounts = [line.split()[-1] for line in by["mount"][1:]]
    assert [row[2] for row in rows(core, "mounts")][: len(mounts)] == mounts[:40]
    busy = {
        line.split()[2]: int(line.split()[4]) for line in by["dev -d"][1:]
        if len(line.split()) > 4 and line.split()[4] not in ("0",)
    }  # fmt: skip
    assert {row[0]: row[1] for row in rows(core, "disks")} == busy
    queued: Counter[int] = Counter()
    cpu = -1
    current: dict[int, str] = {}
    for line in by["runq"]:
        found = re.match(r"CPU (\d+) RUNQUEUE", line)
        if found:
            cpu = int(found[1])
        elif "CURRENT: PID:" in line:
            pid, name = re.search(r'PID: (\d+).*COMMAND: "(.*)"', line).groups()  # type: ignore[union-attr]
            current[cpu] = "idle" if pid == "0" else f"{name}({pid})"
            queued[cpu] += pid != "0"
        elif "] PID:" in line:
            queued[cpu] += 1
    assert {row[0]: row[1] for row in rows(core, "cpus")} == current
    for number, _, runnable in rows(core, "cpus"):
        # As crash's, runq has no tasks of the classes above RT, such as migration/1.
        assert int(runnable) - 1 <= queued[number] <= int(runnable)


@EACH
def test_memory_is_what_kmem_says(core: Path) -> None:
    kmem = {
        m[1]: int(m[2])
        for m in re.finditer(
            r"^ *([A-Z ]+?)  +(\d+)", "\n".join(prompt(core)["kmem -i"]), re.MULTILINE
        )
    }
    (bars,) = (item for item in section(core, "memory")["items"] if item["type"] == "bars")
    said = {row["label"]: row["amount"] for row in bars["rows"]}
    pages = kmem["TOTAL MEM"]
    total = float(re.search(r"[\d,]+", bars["caption"])[0].replace(",", ""))  # type: ignore[index]
    mib = total / pages
    assert abs(said["free"] - kmem["FREE"] * mib) <= 1
    slab = said["slab, reclaimable"] + said["slab, unreclaimable"]
    assert abs(slab - kmem["SLAB"] * mib) <= 1
    assert said["page cache"] >= kmem["CACHED"] * mib - 1
    caches = {line.split()[-1]: line.split() for line in prompt(core)["kmem -s"][1:]}
    for name, _, active, objects in rows(core, "slab"):
        if active != "?":  # kmem -s says neither then
            assert [str(active), str(objects)] == caches[name][2:4], name


@EACH
def test_ctx_and_the_report_say_what_happened_in_the_same_words(core: Path) -> None:
    said = command_line(core)
    lines = [line.strip() for line in prompt(core)["ctx -s verdict"][1:]]
    assert lines[0] == said["verdict"]
    assert [line.removeprefix("- ") for line in lines[1:] if line.startswith("- ")] == said[
        "evidence"
    ]
    assert [line.removeprefix("! ") for line in lines[1:] if line.startswith("! ")] == said[
        "doubts"
    ]


@EACH
def test_the_log_of_a_report_is_the_prompts(core: Path) -> None:
    lines = [printable(line) for line in prompt(core)["log"]]
    messages = {re.sub(r"^\[ *[\d.]+\](?:\[[TC\d ]+\])? ?", "", line) for line in lines}
    for item in section(core, "log")["items"]:
        if item["type"] == "stack":
            for line in item["frames"]:
                assert re.sub(r"^\[ *[\d.]+\](?:\[[TC\d ]+\])? ?", "", line).rstrip() in {
                    one.rstrip() for one in messages
                }, line


@EACH
def test_signature_says_what_the_report_says(core: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "btfdbg", "signature", str(core), "--json"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert json.loads(done.stdout)["title"] == command_line(core)["signature"]["title"]
