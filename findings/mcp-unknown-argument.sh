#!/bin/sh
# mcp 2.3.0 (the Model Context Protocol's Python SDK): an argument that a tool does not have is
#   dropped, silently.
#   One would guess an error, as a Python function raises one, and as a wrong type gets one. A tool
#   "stacks(task: int | None = None)" that is called with {"pid": 1} runs, with no task. The schema
#   that it lists does not say additionalProperties, so that a client cannot see it either.
# Matters: an agent guesses names. The answer to "the stack of pid 1" is then another question's,
#   and looks right.
# Needs: python3, pip, network. Exits 1 when it has changed.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --no-compile mcp==2.3.0
"$folder/venv/bin/python" - 2>"$folder/log" <<'EOT'
import asyncio
import sys

from mcp.server.mcpserver import MCPServer

server = MCPServer("made")


@server.tool()
def stacks(task: int | None = None) -> str:
    return "all" if task is None else f"of {task}"


async def ask(**arguments):
    try:
        content = await server.call_tool("stacks", arguments)
    except Exception as e:
        return f"refused, {type(e).__name__}"
    found = content[1] if isinstance(content, tuple) else content
    return str(found)


async def main():
    (tool,) = await server.list_tools()
    schema = tool.input_schema
    print("additionalProperties:", schema.get("additionalProperties", "not said"))
    right, wrong, bad = await ask(task=1), await ask(pid=1), await ask(task="one")
    print(f"task=1: {right}\npid=1: {wrong}\ntask='one': {bad}")
    if (
        "additionalProperties" in schema
        or "of 1" not in right
        or "all" not in wrong
        or not bad.startswith("refused")
    ):
        sys.exit(1)


asyncio.run(main())
EOT
