#!/bin/sh
# capstone 5.0.9 mis-decodes two instructions that every kernel is full of:
#   x86-64: ud1 (0f b9 /r) ends behind its opcode, so that its ModRM byte becomes the next
#           instruction. Newer kernels' WARN() is "ud1 rdi, [edx]".
#   arm64:  an unprivileged load whose two registers are one (ldtrb w1, [x1]) is no instruction
#           at all. get_user() is made of it. It has no write-back, so nothing forbids it.
# Needs: python3, pip, network. Exits 1 when either has changed.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q capstone==5.0.9
"$folder/venv/bin/python" - <<'EOF'
import capstone as c

x86 = c.Cs(c.CS_ARCH_X86, c.CS_MODE_64)
arm = c.Cs(c.CS_ARCH_ARM64, c.CS_MODE_ARM)
print("capstone", c.__version__)
ud1 = list(x86.disasm_lite(bytes.fromhex("67480fb93ac3"), 0))  # ud1 rdi, [edx]; ret
print("67 48 0f b9 3a c3:", ud1)
same = list(arm.disasm_lite((0x38400821).to_bytes(4, "little"), 0))  # ldtrb w1, [x1]
other = list(arm.disasm_lite((0x38400820).to_bytes(4, "little"), 0))  # ldtrb w0, [x1]
print("38400821:", same, " 38400820:", other)
assert ud1[0][1] == 4, "ud1 has its ModRM byte now"
assert same == [], "ldtrb w1, [x1] is decoded now"
assert other[0][2] == "ldtrb"
EOF
