#!/bin/sh
# capstone 5.0.9, arm64: "cmp x0, #1" writes x0 and reads nothing.
#   One would guess the opposite: cmp is subs with the zero register as destination, and the alias
#   drops that operand. capstone drops the operand, and leaves its access, "write", on the one
#   that has moved up. tst and cmn are the same; subs itself and ccmp are right.
# Matters: a compare is what stands before each conditional branch. For an analysis of which
#   register still holds a function's argument (a dump has no better source) the argument dies at
#   the first test for NULL that is not a cbz.
# Needs: python3, pip, network. Exits 1 when it has changed.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m pip install -q --no-compile --target "$folder/lib" capstone==5.0.9
PYTHONPATH="$folder/lib" python3 - <<'EOT'
import capstone as c

arm = c.Cs(c.CS_ARCH_ARM64, c.CS_MODE_ARM)
arm.detail = True
seen = {}
for word in (0xF100041F, 0xF240001F, 0xF1000401):
    insn = next(arm.disasm(word.to_bytes(4, "little"), 0))
    seen[insn.mnemonic] = [
        sorted(insn.reg_name(register) for register in registers)
        for registers in insn.regs_access()
    ]
    print(f"{insn.mnemonic:5} {insn.op_str:11} reads {seen[insn.mnemonic][0]}, ", end="")
    print("writes", seen[insn.mnemonic][1])
assert seen["cmp"] == [[], ["nzcv", "x0"]], "cmp has changed"
assert seen["tst"] == [[], ["nzcv", "x0"]], "tst has changed"
assert seen["subs"] == [["x0"], ["nzcv", "x1"]]
EOT
