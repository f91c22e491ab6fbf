#!/bin/sh
# mcp 2.3.0 (the Model Context Protocol's Python SDK): a server leaves requests unanswered when its
#   standard input ends.
#   One would guess that what was asked is answered first, as the requests were read and the tools
#   take no time. Of eight requests that a pipe brings, some are answered, the last is not, and the
#   server's exit status is 0. With the input left open, all are.
# Matters: "printf ... | server" is how a script or a test of a debugger's tools asks, and the last
#   answer is the one that was wanted. Nothing tells that from a server without it.
# Needs: python3, pip, network. Exits 1 when it has changed.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --no-compile mcp==2.3.0
cat >"$folder/server.py" <<'EOT'
from mcp.server.mcpserver import MCPServer

server = MCPServer("made")


@server.tool()
def same(number: int) -> int:
    return number


server.run("stdio")
EOT
"$folder/venv/bin/python" - "$folder/server.py" 2>"$folder/log" <<'EOT'
import json
import subprocess
import sys

begin = {
    "protocolVersion": "2025-06-18",
    "capabilities": {},
    "clientInfo": {"name": "made", "version": "1"},
}
lines = [
    {"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": begin},
    {"jsonrpc": "2.0", "method": "notifications/initialized"},
]
for number in range(1, 8):
    asked = {"name": "same", "arguments": {"number": number}}
    lines.append({"jsonrpc": "2.0", "id": number, "method": "tools/call", "params": asked})
text = "".join(json.dumps(line) + "\n" for line in lines)


def served(**how):
    return subprocess.Popen([sys.executable, sys.argv[1]], stdin=subprocess.PIPE,
                            stdout=subprocess.PIPE, text=True, **how)


piped = served()
out, _ = piped.communicate(text)
first = [json.loads(line)["id"] for line in out.splitlines()]
print(f"input ended: exit {piped.returncode}, answered {first}")
kept = served()
kept.stdin.write(text)
kept.stdin.flush()
second = sorted(json.loads(kept.stdout.readline())["id"] for _ in range(8))
kept.communicate()
print(f"input left open: answered {second}")
if piped.returncode or 7 in first or second != list(range(8)):
    sys.exit(1)
EOT
