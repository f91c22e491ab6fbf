#!/bin/sh
# unicorn 2.1.4, x86-64: memory mapped at a kernel address can be written and not run or read.
#   One would guess that an address is an address: mem_map() at 0xffffffff81000000 succeeds, so do
#   mem_write() and mem_read(), and the engine's virtual addresses are its physical ones. A jump
#   there is UC_ERR_FETCH_UNMAPPED, a load from there UC_ERR_READ_UNMAPPED. So is each address
#   from 2**52 on, the widest physical one. On arm64 0xffff800080000000 works.
# Matters: to run a function of a dump's kernel text one maps the dump's pages where they are, and
#   is told that they are not mapped. ctl_set_tlb_mode(UC_TLB_VIRTUAL) is what helps.
# Needs: python3, pip, network. Exits 1 when it has changed.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m pip install -q --no-compile --target "$folder/lib" unicorn==2.1.4
PYTHONPATH="$folder/lib" python3 - <<'EOT'
import unicorn as u
from unicorn import x86_const as x

KERNEL = 0xFFFFFFFF81000000
X86 = (u.UC_ARCH_X86, u.UC_MODE_64)
NOP, LOAD = b"\x90", bytes.fromhex("488b07")


def run(kind, place, code, data=None, mode=None):
    """Run code at an address, after mapping a page of data at another if one is given."""
    emulator = u.Uc(*kind)
    if mode is not None:
        emulator.ctl_set_tlb_mode(mode)
    emulator.mem_map(place, 4096)
    emulator.mem_write(place, code)
    assert emulator.mem_read(place, len(code)) == code
    if data is not None:
        emulator.mem_map(data, 4096)
        emulator.reg_write(x.UC_X86_REG_RDI, data)
    try:
        emulator.emu_start(place, place + len(code))
    except u.UcError as error:
        return error.errno
    return u.UC_ERR_OK


results = {
    "run at 2**51": run(X86, 1 << 51, NOP),
    "run at 2**52": run(X86, 1 << 52, NOP),
    "run kernel text": run(X86, KERNEL, NOP),
    "read kernel data": run(X86, 0x1000, LOAD, KERNEL),
    "run, virtual TLB": run(X86, KERNEL, NOP, mode=u.UC_TLB_VIRTUAL),
    "arm64 kernel text": run(
        (u.UC_ARCH_ARM64, u.UC_MODE_ARM), 0xFFFF800080000000, bytes.fromhex("1f2003d5")
    ),
}
for name, result in results.items():
    print(f"{name:18}", result)
assert list(results.values()) == [
    u.UC_ERR_OK,
    u.UC_ERR_FETCH_UNMAPPED,
    u.UC_ERR_FETCH_UNMAPPED,
    u.UC_ERR_READ_UNMAPPED,
    u.UC_ERR_OK,
    u.UC_ERR_OK,
], "kernel addresses have changed"
EOT
