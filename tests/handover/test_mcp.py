"""``btfdbg serve``: tools for an agent, bounded, and a dump's words marked as data."""

from __future__ import annotations

import importlib.util
import io
import json
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import btfdbg
from btfdbg.cli import serve
from btfdbg.errors import DebugInfoError
from btfdbg.handover import mcp, mcp_lines
from btfdbg.handover.mcp import MAX_TEXT, NOTICE, Dumps, walk
from btfdbg.program.session import Session
from btfdbg.program.session import session as session_of


@pytest.fixture
def dumps(whole: Session) -> Dumps:
    made = Dumps(
        lambda session, line: f"{line}\n" + "x" * (2 * MAX_TEXT),
        lambda session: {"release": session.release},
        lambda session: {"title": "a report"},
        lambda session: {"title": "a title"},
    )
    made._open["dump"] = whole
    return made


def test_text_of_a_dump_is_marked_and_bounded(dumps: Dumps) -> None:
    answer = dumps.tasks("dump")
    assert answer["notice"] == NOTICE
    assert answer["data"].startswith("ps\n")
    assert len(answer["data"]) == MAX_TEXT
    assert answer["left_out"] == f"{MAX_TEXT + 3} characters"
    assert dumps.kernel_log("dump")["data"].endswith("x")


def test_a_table_gives_its_rows_within_bounds(whole: Session) -> None:
    rows = [{"PID": i, "COMM": "x" * 100} for i in range(2000)]
    made = Dumps(lambda s, line: json.dumps(rows), lambda s: {}, lambda s: {}, lambda s: {})
    made._open["dump"] = whole
    data = made.table("dump", "ps", ["-k"])["data"]
    assert data["count"] == 2000
    assert 0 < data["shown"] == len(data["rows"]) < 2000
    assert data["rows"][0] == rows[0]


def test_no_number_is_one_that_a_client_in_javascript_rounds(whole: Session) -> None:
    rows = [{"TASK": 0xFF1D8BF301E30000, "PID": 575, "more": [-(1 << 60), (1 << 53) - 1, True]}]
    made = Dumps(lambda s, line: json.dumps(rows), lambda s: {}, lambda s: {}, lambda s: {})
    made._open["dump"] = whole
    (row,) = made.table("dump", "ps")["data"]["rows"]
    assert row["TASK"] == "0xff1d8bf301e30000"
    assert row["PID"] == 575
    assert row["more"] == ["-0x1000000000000000", (1 << 53) - 1, True]
    for value in (row["PID"], row["more"][1]):
        assert int(float(value)) == value


@pytest.mark.parametrize(
    ("command", "arguments"),
    [
        ("sh", ["id"]), ("ps", ["| id"]), ("ps", [">x"]), ("ps", ["$(id)"]), ("dev", ["-v", "0"]),
        ("dev", ["-v0"]), ("mod", ["-sx"]), ("bt", ["-I", "f()"]), ("source", ["x"]),
    ],
)  # fmt: skip
def test_a_table_runs_nothing_else(whole: Session, command: str, arguments: list[str]) -> None:
    def never(session: Session, line: str) -> str:
        raise AssertionError(line)

    made = Dumps(never, lambda s: {}, lambda s: {}, lambda s: {})
    made._open["dump"] = whole
    assert "data" not in made.table("dump", command, arguments)


def test_objects_and_addresses_have_their_evidence(dumps: Dumps, whole: Session) -> None:
    answer = dumps.object_by_path("dump", "init_task.comm")["data"]
    assert "swapper/0" in answer["value"]
    assert answer["type"] == "char [16]"
    assert "database" in answer["evidence"]
    address = hex(whole.prog["init_task"].address_)
    assert dumps.at_address("dump", address)["data"]["symbol"] == "init_task+0x0"
    banner = whole.lookup_symbols("linux_banner")[0].address
    data = dumps.memory("dump", hex(banner), 14)["data"]
    assert bytes.fromhex(data) == b"Linux version "


def test_a_text_is_found_behind_pages_that_the_dump_lacks(dumps: Dumps, whole: Session) -> None:
    found = [int(place, 16) for place in dumps.search("dump", "Linux version")["data"]]
    assert len(found) > 1
    assert {bytes(whole.prog.read(place, 13)) for place in found} == {b"Linux version"}
    assert dumps.search("dump", "Linux version", 1)["data"] == [hex(found[0])]


def test_calls_at_the_same_time_are_answered_one_after_the_other(whole: Session) -> None:
    """A command's answer is what it prints: two at once would have each other's."""
    inside: list[str] = []
    most = 0

    def run(session: Session, line: str) -> str:
        nonlocal most
        inside.append(line)
        most = max(most, len(inside))
        time.sleep(0.01)
        inside.remove(line)
        return line

    made = Dumps(run, lambda s: {}, lambda s: {}, lambda s: {})
    made._open["dump"] = whole
    with ThreadPoolExecutor(8) as pool:
        said = list(pool.map(lambda pid: made.stacks("dump", pid)["data"], range(16)))
    assert said == [f"bt {pid}" for pid in range(16)]
    assert most == 1


def test_what_is_about_a_table_is_no_row_of_it(whole: Session) -> None:
    said = {
        "ps --json": '[{"PID": 1}]\nps: 1 read failed: 0x40\n',
        "net --json": "net: cannot read memory at pgd[0]\n",
        "mod --json": '{"a": [1]}\n',
    }
    made = Dumps(lambda s, line: said[line], lambda s: {}, lambda s: {}, lambda s: {})
    made._open["dump"] = whole
    data = made.table("dump", "ps")["data"]
    assert (data["rows"], data["about"]) == ([{"PID": 1}], "ps: 1 read failed: 0x40")
    assert made.table("dump", "net") == {"error": "net: cannot read memory at pgd[0]"}
    assert "data" not in made.table("dump", "mod")


def test_a_command_that_finds_nothing_is_an_error(x86_core: Path) -> None:
    session = session_of(btfdbg.program_from_core_dump(x86_core))
    made = Dumps(serve._command, lambda s: {}, lambda s: {}, lambda s: {})
    made._open["dump"] = session
    assert set(made.stacks("dump", 1)) == {"notice", "data"}
    assert made.stacks("dump", 99999) == {"error": "bt: no task matches 99999; ps lists tasks"}
    assert "0x40" in made.table("dump", "files", ["-d", "0x10"])["error"]


@pytest.mark.parametrize(
    ("tool", "arguments"),
    [
        ("tasks", ("not open",)),
        ("memory", ("dump", "0x1000", 1 << 40)),
        ("memory", ("dump", "0x10", 8)),
        ("memory", ("dump", "zz", 8)),
        ("at_address", ("dump", "-1")),
        ("at_address", ("dump", "1_0")),
        ("at_address", ("dump", " 0x10")),
        ("at_address", ("dump", "\u0663")),
        ("at_address", ("dump", "f" * 17)),
        ("search", ("dump", "a", 5)),
        ("search", ("dump", "aaaa", 1 << 30)),
        ("stacks", ("dump", -5)),
        ("object_by_path", ("dump", "init_task.no_such")),
        ("object_by_path", ("dump", "__import__('os').system('x')")),
        ("object_by_path", ("dump", "init_task" + ".mm" * 500)),
        ("object_by_path", ("dump", "init_task.")),
        ("object_by_path", ("dump", "init_task.comm[")),
        ("object_by_path", ("dump", "runqueues:99999.cpu")),
        ("object_by_path", ("dump", "runqueues:.cpu")),
        ("object_by_path", ("dump", "init_task:0.comm")),
        ("open_dump", ("/no/such/file",)),
    ],
)
def test_what_cannot_be_answered_says_why(
    dumps: Dumps, tool: str, arguments: tuple[Any, ...]
) -> None:
    answer = getattr(dumps, tool)(*arguments)
    assert set(answer) == {"error"}
    assert answer["error"]


def test_a_path_is_followed_and_never_evaluated(whole: Session) -> None:
    prog = whole.prog
    assert walk(prog, "init_task.thread_info.flags").type_.type_name() == "unsigned long"
    assert walk(prog, "init_task.tasks.next->prev").value_() == prog["init_task"].tasks.address_
    assert walk(prog, "init_task.comm[0]").value_() == ord("s")
    with pytest.raises(DebugInfoError):
        walk(prog, "init_task().x")


def test_a_variable_that_each_cpu_has_is_given_for_a_cpu(dumps: Dumps, whole: Session) -> None:
    # At its symbol is what the copies began with, in memory that boot gave away.
    assert "runqueues:0" in dumps.object_by_path("dump", "runqueues.cpu")["error"]
    answer = dumps.object_by_path("dump", "runqueues:0.cpu")["data"]
    assert answer["value"] == "(int)0"
    assert answer["address"] != hex(whole.prog["runqueues"].cpu.address_)
    assert answer["evidence"] == "kernel BTF"


def test_of_a_long_value_there_is_what_fits(dumps: Dumps, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = dumps.object_by_path("dump", "runqueues:0")
    assert "left_out" not in whole
    monkeypatch.setattr(mcp, "MAX_TEXT", 300)
    answer = dumps.object_by_path("dump", "runqueues:0")
    shown = answer["data"]["value"]
    assert len(shown) > 100
    assert whole["data"]["value"].startswith(shown)
    assert answer["left_out"] == f"{len(whole['data']['value']) - len(shown)} characters"
    assert answer["data"]["evidence"] == "kernel BTF"


@pytest.mark.parametrize(
    ("line", "code", "name"),
    [
        (b"hello\n", -32700, None),
        (b"\xff\xfe\0\n", -32700, None),
        (b'{"a":' * 100_000, -32700, None),
        (b"[]\n", -32600, None),
        (b"42\n", -32600, None),
        (b'{"jsonrpc": "1.0", "id": 7, "method": "ping"}\n', -32600, 7),
        (b'{"jsonrpc": "2.0", "id": "x", "method": "ping", "params": [1]}\n', -32600, "x"),
        (b'{"id": true}\n', -32600, None),
        (b'{"id": {"a": 1}}\n', -32600, None),
        (b"1" * mcp_lines.MAX_LINE, -32600, None),
    ],
)
def test_a_line_that_is_no_message_has_its_answer(
    line: bytes, code: int, name: str | int | None
) -> None:
    found = mcp_lines.refusal(line)
    assert (found[0], found[2]) == (code, name)
    assert found[1]


def test_of_a_line_without_end_only_its_bound_is_kept() -> None:
    long = b"a" * (3 * mcp_lines.MAX_LINE + 5)
    lines = mcp_lines._Lines(io.BytesIO(long + b"\nnext\n" + long))
    assert lines._next() == b"a" * mcp_lines.MAX_LINE
    assert lines._next() == b"next\n"
    assert len(lines._next()) == mcp_lines.MAX_LINE
    assert lines._next() == b""


def test_an_argument_that_a_tool_does_not_have_is_refused(dumps: Dumps) -> None:
    pytest.importorskip("mcp")
    anyio = pytest.importorskip("anyio")
    from mcp.server.mcpserver.exceptions import ToolError

    made = mcp.server(dumps)

    async def ask() -> None:
        for tool in await made.list_tools():
            assert tool.input_schema["additionalProperties"] is False
        await made.call_tool("stacks", {"path": "dump", "task": 1})
        # Dropped, it would be the question for all CPUs' stacks.
        with pytest.raises(ToolError, match="pid"):
            await made.call_tool("stacks", {"path": "dump", "pid": 1})
        # Taken for 1, it would be the question for init's stack.
        with pytest.raises(ToolError, match="task: True"):
            await made.call_tool("stacks", {"path": "dump", "task": True})

    anyio.run(ask)


def test_a_client_that_sends_nonsense_gets_errors_and_the_server_lives() -> None:
    pytest.importorskip("mcp")
    begin = {
        "protocolVersion": "2025-06-18",
        "capabilities": {},
        "clientInfo": {"name": "x", "version": "0"},
    }
    lines = [
        b"hello",
        b'{"jsonrpc": "1.0", "id": 5, "method": "ping"}',
        b'{"jsonrpc": "2.0", "id": 6, "method": "ping", "params": [1]}',
        b"x" * (2 * mcp_lines.MAX_LINE),
        json.dumps({"jsonrpc": "2.0", "id": 7, "method": "initialize", "params": begin}).encode(),
        b'{"jsonrpc": "2.0", "method": "notifications/initialized"}',
        *(
            b'{"jsonrpc": "2.0", "id": %d, "method": "tools/call", "params":'
            b' {"name": "open_dump", "arguments": {"path": "/no/such"}}}' % name
            for name in range(10, 16)
        ),
        b'{"jsonrpc": "2.0", "id": 8, "method": "ping"}',
    ]
    done = subprocess.run(
        [sys.executable, "-m", "btfdbg.cli.main", "serve", "--stdio"],
        input=b"\n".join(lines) + b"\n",
        capture_output=True,
        check=True,
    )
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    codes = {a["id"]: a.get("error", {}).get("code") for a in answers if a["id"] is not None}
    # The last ones too, for which the SDK does not wait when its input ends.
    assert codes == {5: -32600, 6: -32600, 7: None, 8: None, **dict.fromkeys(range(10, 16))}
    assert [a["error"]["code"] for a in answers if a["id"] is None] == [-32700, -32600]


@pytest.mark.parametrize(
    ("there", "why"), [(None, "is not installed"), (object(), "is of another version")]
)
def test_without_the_sdk_it_says_what_to_install(
    there: object, why: str, dumps: Dumps, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "mcp.server.mcpserver", None)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: there)
    with pytest.raises(DebugInfoError, match=why) as caught:
        mcp.server(dumps)
    assert "btfdbg[mcp]" in caught.value.hint


@pytest.mark.oracle
def test_the_sdks_own_client_looks_at_a_dump(x86_core: Path) -> None:
    sdk = pytest.importorskip("mcp")
    anyio = pytest.importorskip("anyio")

    async def talk() -> None:
        server = sdk.StdioServerParameters(
            command=sys.executable, args=["-m", "btfdbg.cli.main", "serve", "--stdio"]
        )
        async with sdk.Client(server) as client:
            tools = {tool.name for tool in (await client.list_tools()).tools}
            assert {"open_dump", "report", "stacks", "object_by_path", "search"} <= tools
            path = str(x86_core)
            opened = await client.call_tool("open_dump", {"path": path})
            assert opened.structured_content["data"]["architecture"] == "x86_64"
            stacks = await client.call_tool("stacks", {"path": path, "task": 1})
            assert "#0" in stacks.structured_content["data"]
            wrong = await client.call_tool(
                "memory", {"path": path, "address": "0", "size": 1 << 40}
            )
            assert "4096" in wrong.structured_content["error"]
            named = await client.call_tool("signature", {"path": path})
            assert named.structured_content["data"]["title"]
            assert (await client.call_tool("tasks", {"path": path})).structured_content["data"]

    anyio.run(talk)
