#!/bin/sh
# pypcode 3.3.3 (Ghidra's SLEIGH): ud2 and ud1 end in an indirect jump.
#   One would guess an opaque operation and no flow, or the end of the path. Lifted, ud2 is "goto
#   [invalidInstructionException()]": BRANCHIND, the operation of jmp rax.
# Matters: WARN() and BUG() of x86 kernels are ud2, thousands of them, and execution goes on
#   behind a WARN(). In a control flow graph made of this p-code each is a jump table that cannot
#   be resolved, and the code behind it is reached from nowhere.
# Needs: python3, pip, network. Exits 1 when it has changed.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m pip install -q --no-compile --target "$folder/lib" pypcode==3.3.3
PYTHONPATH="$folder/lib" python3 - <<'EOT'
from pypcode import Context, OpCode

context = Context("x86:LE:64:default")
last = {}
for name, code in (("ud2", "0f0b"), ("ud1", "67480fb93a"), ("jmp rax", "ffe0"), ("nop", "90")):
    operations = context.translate(bytes.fromhex(code), 0x1000).ops
    last[name] = operations[-1].opcode
    print(f"{name:8}", [operation.opcode.name for operation in operations])
assert last["jmp rax"] == OpCode.BRANCHIND
assert last["ud2"] == OpCode.BRANCHIND and last["ud1"] == OpCode.BRANCHIND, "ud2 has changed"
EOT
