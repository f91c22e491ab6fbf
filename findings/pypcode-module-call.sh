#!/bin/sh
# pypcode 3.3.3 (Ghidra's SLEIGH), x86-64: a call whose target is the next instruction is lifted
#   to a branch.
#   One would guess CALL, as for each other target. "call .+5" is the old way to read the program
#   counter, so SLEIGH makes it a push and BRANCH.
# Matters: it is also what each call of a kernel module's file looks like: e8 00 00 00 00, the
#   target being in a relocation. Lifted straight from a .ko a function has no calls, pushes
#   return addresses that nothing pops, and its stack pointer is off from the first one on.
# Needs: python3, pip, gcc, objcopy, network. Exits 1 when it has changed.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m pip install -q --no-compile --target lib pypcode==3.3.3
echo 'void lock(void); void f(void) { lock(); lock(); }' >module.c
gcc -O1 -m64 -mcmodel=kernel -fno-pie -fcf-protection=none -c module.c
objcopy -O binary -j .text module.o text
PYTHONPATH=lib python3 - <<'EOT'
from pypcode import Context, OpCode

CALLS = (OpCode.CALL, OpCode.BRANCH)
context = Context("x86:LE:64:default")


def calls(code):
    operations = context.translate(code, 0x1000).ops
    return [operation.opcode for operation in operations if operation.opcode in CALLS]


with open("text", "rb") as file:
    text = file.read()
in_module = [calls(text[at : at + 5]) for at in range(len(text)) if text[at] == 0xE8]
relocated = calls(bytes.fromhex("e810000000"))
print("calls of the module:", [[code.name for code in codes] for codes in in_module])
print("one relocated      :", [code.name for code in relocated])
assert relocated == [OpCode.CALL]
assert in_module == [[OpCode.BRANCH], [OpCode.BRANCH]], "the call has changed"
EOT
