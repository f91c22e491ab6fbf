#!/bin/sh
# capstone 5.0.9: sysret is no member of the group "ret" but of "iret"; syscall is of "int".
#   One would guess CS_GRP_RET for sysret (its name, and capstone's text for CS_GRP_IRET speaks of
#   returns from interrupts), and a code walker that stops at CS_GRP_RET and CS_GRP_JUMP is
#   common.
# Matters: the system call path of every x86-64 kernel ends in "swapgs; sysretq", with other code
#   or int3 behind it. Such a walker goes on there and takes the next function for a part of this
#   one.
# Needs: python3, pip, network. Exits 1 when it has changed.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m pip install -q --no-compile --target "$folder/lib" capstone==5.0.9
PYTHONPATH="$folder/lib" python3 - <<'EOT'
import capstone as c

x86 = c.Cs(c.CS_ARCH_X86, c.CS_MODE_64)
x86.detail = True
groups = {}
for code in ("c3", "480f07", "48cf", "0f05"):
    insn = next(x86.disasm(bytes.fromhex(code), 0))
    groups[insn.mnemonic] = {insn.group_name(group) for group in insn.groups}
    print(f"{insn.mnemonic:8}", sorted(groups[insn.mnemonic]))
assert "ret" in groups["ret"] and "iret" in groups["iretq"]
assert "ret" not in groups["sysretq"] and "iret" in groups["sysretq"], "sysretq has changed"
assert "int" in groups["syscall"], "syscall has changed"
EOT
