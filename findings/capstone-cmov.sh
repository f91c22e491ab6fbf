#!/bin/sh
# capstone 5.0.9: the destination of a conditional move is written but not read.
#   One would guess both: cmovne leaves the old value if the condition is false (in 64-bit mode it
#   then even clears the upper half of a 32-bit destination). bsf, which keeps its destination for
#   a source of 0, is described in the same way.
# Matters: an analysis of which register still holds an argument, or of where a value in a
#   register dump came from, ends at the cmov as if it were a mov. GCC compiles min(), max() and
#   error returns to it.
# Needs: python3, pip, network. Exits 1 when it has changed.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m pip install -q --no-compile --target "$folder/lib" capstone==5.0.9
PYTHONPATH="$folder/lib" python3 - <<'EOT'
import capstone as c

x86 = c.Cs(c.CS_ARCH_X86, c.CS_MODE_64)
x86.detail = True
for code, flags in (("480f45c3", ["rflags"]), ("480fbcc3", []), ("4801d8", ["rax"])):
    insn = next(x86.disasm(bytes.fromhex(code), 0))
    read, written = ([insn.reg_name(r) for r in registers] for registers in insn.regs_access())
    print(f"{insn.mnemonic:7} {insn.op_str}: reads {read}, writes {written}")
    assert sorted(read) == sorted([*flags, "rbx"]), f"{insn.mnemonic} reads others now"
    assert "rax" in written
EOT
