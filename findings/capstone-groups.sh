#!/bin/sh
# capstone 5.0.9: the groups that all architectures share (call, jump, return) differ by
#   architecture.
#   One would guess that CS_GRP_CALL tells a call everywhere. On x86 it does. On arm64 a call is
#   in "jump" as well; on ppc64 it is a jump only; on s390x it is in no group; on RISC-V the plain
#   "ret" is a call, and its compressed form a jump.
# Matters: whoever walks the code of dumps of several architectures with one loop ends basic
#   blocks at calls (arm64), follows calls as jumps (ppc64), and takes each return for a call
#   (RISC-V).
# Needs: python3, pip, network. Exits 1 when it has changed.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m pip install -q --no-compile --target "$folder/lib" capstone==5.0.9
PYTHONPATH="$folder/lib" python3 - <<'EOT'
import capstone as c

RISCV = c.CS_ARCH_RISCV, c.CS_MODE_RISCV64 | c.CS_MODE_RISCVC
TABLE = {
    "x86-64 call": (c.CS_ARCH_X86, c.CS_MODE_64, "e800000000", {"call"}),
    "arm64 bl": (c.CS_ARCH_ARM64, c.CS_MODE_ARM, "10000094", {"call", "jump"}),
    "ppc64le bl": (c.CS_ARCH_PPC, c.CS_MODE_64 | c.CS_MODE_LITTLE_ENDIAN, "11000048", {"jump"}),
    "s390x brasl": (c.CS_ARCH_SYSZ, c.CS_MODE_BIG_ENDIAN, "c0e500000010", set()),
    "riscv jal": (*RISCV, "ef000001", {"call"}),
    "riscv ret": (*RISCV, "67800000", {"call"}),
    "riscv c.jr ra": (*RISCV, "8280", {"jump"}),
}
NAMES = {c.CS_GRP_JUMP: "jump", c.CS_GRP_CALL: "call", c.CS_GRP_RET: "return"}
for name, (arch, mode, code, expected) in TABLE.items():
    engine = c.Cs(arch, mode)
    engine.detail = True
    insn = next(engine.disasm(bytes.fromhex(code), 0x1000))
    groups = {NAMES[group] for group in insn.groups if group in NAMES}
    print(f"{name:14} {insn.mnemonic:6} {sorted(groups)}")
    assert groups == expected, f"{name} has changed"
EOT
