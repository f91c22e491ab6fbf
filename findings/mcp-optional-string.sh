#!/bin/sh
# mcp 2.3.0 (the Model Context Protocol's Python SDK): a tool's parameter of type "str | None"
#   does not take each string.
#   One would guess that a string stays one: its JSON schema says that it may be one, and a
#   parameter of type str takes any. Text that happens to be JSON of a list, an object or null is
#   decoded first: "[1, 2]" and "{}" are then refused as no string, and "null" arrives as None.
#   "12", "true" and "\"a\"" are left alone.
# Matters: the parameter of a debugger's tool is often an optional text of code or an expression,
#   or a symbol's name. What the agent sent is valid, and the answer says that it was not.
# Needs: python3, pip, network. Exits 1 when it has changed.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q mcp==2.3.0
cat >"$folder/server.py" <<'EOT'
from mcp.server.mcpserver import MCPServer

server = MCPServer("made")


@server.tool()
def plain(code: str) -> str:
    return repr(code)


@server.tool()
def optional(code: str | None = None) -> str:
    return repr(code)


server.run("stdio")
EOT
"$folder/venv/bin/python" - "$folder/server.py" 2>"$folder/log" <<'EOT'
import json
import subprocess
import sys

server = subprocess.Popen([sys.executable, sys.argv[1]], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE, text=True)


def ask(method, number=None, **parameters):
    message = {"jsonrpc": "2.0", "method": method, "params": parameters}
    if number is not None:
        message["id"] = number
    server.stdin.write(json.dumps(message) + "\n")
    server.stdin.flush()
    return json.loads(server.stdout.readline())["result"] if number is not None else None


ask("initialize", 0, protocolVersion="2025-06-18", capabilities={},
    clientInfo={"name": "made", "version": "1"})
ask("notifications/initialized")
answers = {}
for text in ("prog", "12", "true", "[1, 2]", "{}", "null"):
    for tool in ("plain", "optional"):
        result = ask("tools/call", 1, name=tool, arguments={"code": text})
        answers[tool, text] = "refused" if result["isError"] else result["content"][0]["text"]
    print(f"{text:8} plain {answers['plain', text]:10} optional {answers['optional', text]}")
server.stdin.close()
server.wait()
for (tool, text), answer in answers.items():
    decoded = {"[1, 2]": "refused", "{}": "refused", "null": "None"} if tool == "optional" else {}
    assert answer == decoded.get(text, repr(text)), (tool, text)
EOT
