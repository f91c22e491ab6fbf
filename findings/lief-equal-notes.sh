#!/bin/sh
# LIEF 1.0.0: notes that are equal byte for byte become one.
#   One would guess a list of all notes in their order, as pyelftools and readelf give it. Of the
#   NT_PRSTATUS notes of tasks 5, 6, 6, 0, 0 three are left, and nothing tells that there were
#   five.
# Matters: a dump has one such note a CPU, and its place is the CPU's number. CPUs that saved
#   nothing have equal ones, all zeros: the count is wrong, and each note behind the first that
#   was dropped is taken for another CPU's registers.
# Needs: python3, pip, network. Exits 1 when it has changed.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m pip install -q --no-compile --target "$folder/lib" lief==1.0.0
PYTHONPATH="$folder/lib" python3 - "$folder/core" <<'EOT'
import struct
import sys

import lief

TASKS = [5, 6, 6, 0, 0]
notes = b""
for task in TASKS:
    status = bytearray(336)
    struct.pack_into("<I", status, 32, task)  # pr_pid
    notes += struct.pack("<III", 5, len(status), 1) + b"CORE\0\0\0\0" + status
header = b"\x7fELF\2\1\1".ljust(16, b"\0")
header += struct.pack("<HHIQQQIHHHHHH", 4, 62, 1, 0, 64, 0, 0, 64, 56, 1, 0, 0, 0)
segment = struct.pack("<IIQQQQQQ", 4, 0, 120, 0, 0, len(notes), len(notes), 4)
with open(sys.argv[1], "wb") as file:
    file.write(header + segment + notes)
core = lief.parse(sys.argv[1])
found = [note.status.pid for note in core.notes]
print("in the file:", TASKS, " LIEF:", found)
assert found == [5, 6, 0], "equal notes are kept now"
EOT
