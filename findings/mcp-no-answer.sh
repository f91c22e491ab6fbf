#!/bin/sh
# mcp 2.3.0 (the Model Context Protocol's Python SDK): a message that is not right JSON-RPC has no
#   answer, even if it has an id.
#   One would guess JSON-RPC's own errors: -32700 for what is no JSON, -32600 for what is no
#   request. The server says nothing to a list as parameters, to "jsonrpc": "1.0", to a batch, to
#   text, and goes on. An unknown method and a wrong argument have their errors.
# Matters: who speaks to a server by hand or from a language without an SDK waits for ever, and
#   cannot tell a slow tool from a message that was thrown away.
# Needs: python3, pip, network. Exits 1 when it has changed.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --no-compile mcp==2.3.0
cat >"$folder/server.py" <<'EOT'
from mcp.server.mcpserver import MCPServer

MCPServer("made").run("stdio")
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
    json.dumps({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": begin}),
    '{"jsonrpc": "2.0", "method": "notifications/initialized"}',
    "hello",
    '{"jsonrpc": "1.0", "id": 1, "method": "ping"}',
    '{"jsonrpc": "2.0", "id": 2, "method": "ping", "params": [1]}',
    '[{"jsonrpc": "2.0", "id": 3, "method": "ping"}]',
    '{"jsonrpc": "2.0", "id": 4, "method": "no/such"}',
    '{"jsonrpc": "2.0", "id": 5, "method": "ping"}',
]
server = subprocess.Popen([sys.executable, sys.argv[1]], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE, text=True)
server.stdin.write("\n".join(lines) + "\n")
server.stdin.flush()
seen = {}
while 5 not in seen or 4 not in seen:  # what was asked last; the others came before
    answer = json.loads(server.stdout.readline())
    seen[answer["id"]] = answer.get("error", {}).get("code", "answered")
server.communicate()
print(seen)
if seen != {0: "answered", 4: -32601, 5: "answered"}:
    sys.exit(1)
EOT
