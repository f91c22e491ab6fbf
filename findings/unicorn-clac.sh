#!/bin/sh
# unicorn 2.1.4: clac and stac are invalid instructions to the default x86-64 CPU.
#   One would guess that they run, or are no-ops: the same CPU has BMI2, rdrand, AVX and runs in
#   ring 0, and endbr64 and incssp pass as no-ops. Its CPUID has no SMAP, and with another model
#   (UC_CPU_X86_HASWELL is not enough, UC_CPU_X86_BROADWELL is) they run.
# Matters: a kernel patches them into copy_to_user() and all its relatives at boot, so a dump's
#   text has them where the vmlinux file has no-ops. What emulates from the file stops on a dump.
# Needs: python3, pip, network. Exits 1 when it has changed.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m pip install -q --no-compile --target "$folder/lib" unicorn==2.1.4
PYTHONPATH="$folder/lib" python3 - <<'EOT'
import unicorn as u
from unicorn import x86_const as x


def run(code, model=None):
    emulator = u.Uc(u.UC_ARCH_X86, u.UC_MODE_64)
    if model is not None:
        emulator.ctl_set_cpu_model(model)
    emulator.mem_map(0x1000, 0x1000)
    emulator.mem_write(0x1000, code)
    try:
        emulator.emu_start(0x1000, 0x1000 + len(code))
    except u.UcError as error:
        return error.errno
    return u.UC_ERR_OK


clac, shlx, rdrand = (bytes.fromhex(code) for code in ("0f01ca", "c4e2f9f7c1", "480fc7f0"))
default = [run(code) for code in (clac, shlx, rdrand)]
models = [run(clac, getattr(x, f"UC_CPU_X86_{name}")) for name in ("HASWELL", "BROADWELL")]
print("default CPU: clac, shlx, rdrand:", default, "(10 is UC_ERR_INSN_INVALID)")
print("clac on Haswell, Broadwell     :", models)
assert default == [u.UC_ERR_INSN_INVALID, u.UC_ERR_OK, u.UC_ERR_OK], "the default has changed"
assert models == [u.UC_ERR_INSN_INVALID, u.UC_ERR_OK], "the models have changed"
EOT
