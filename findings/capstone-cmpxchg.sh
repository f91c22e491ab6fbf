#!/bin/sh
# capstone 5.0.9: cmpxchg only reads. Its memory operand's access is "read", and regs_access()
#   names no written register: not rax, which gets the old value, and not the flags.
#   One would guess read and write, as xadd, xchg and bts have it (all right in the same version).
# Matters: "lock cmpxchg" is what spin locks, reference counts and most atomics are made of.
#   Whoever asks a crash dump's code "which instruction wrote this word" or follows rax through a
#   function gets a wrong answer at each of them.
# Needs: python3, pip, network. Exits 1 when it has changed.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m pip install -q --no-compile --target "$folder/lib" capstone==5.0.9
PYTHONPATH="$folder/lib" python3 - <<'EOT'
import capstone as c

x86 = c.Cs(c.CS_ARCH_X86, c.CS_MODE_64)
x86.detail = True
kinds = {c.CS_AC_READ: "read", c.CS_AC_WRITE: "write", c.CS_AC_READ | c.CS_AC_WRITE: "read+write"}
seen = {}
for code in ("f0480fb131", "f0480fc101", "488701", "f0480fab01"):
    insn = next(x86.disasm(bytes.fromhex(code), 0))
    written = [insn.reg_name(register) for register in insn.regs_access()[1]]
    name = insn.mnemonic.split()[-1]
    seen[name] = kinds[insn.operands[0].access], written
    print(f"{insn.mnemonic:12} {insn.op_str:24} memory: {seen[name][0]:10} writes: {written}")
assert seen["cmpxchg"] == ("read", []), "cmpxchg writes now"
assert [seen[name][0] for name in ("xadd", "xchg", "bts")] == ["read+write"] * 3
EOT
