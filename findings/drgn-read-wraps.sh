#!/bin/sh
# drgn 0.3.0: a read that runs over the end of the address space goes on at address 0.
#   One would guess a FaultError: no object lies there, and drgn faults on every other hole.
#   Program.read(2**64 - 4, 8) gives four bytes of the top and four of address 0.
# Matters: ERR_PTR() values (-1 to -4095) are addresses up there, and several dumps have memory at
#   0 (the zero page, per-CPU symbols, a QEMU dump with physical addresses as virtual ones): a
#   member of a structure behind an error pointer then reads as plausible data instead of a fault.
# Needs: python3, pip, network. Exits 1 when it has changed.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m pip install -q --no-compile --target "$folder/lib" drgn==0.3.0
PYTHONPATH="$folder/lib" python3 - <<'EOT'
from drgn import Architecture, FaultError, Platform, Program

prog = Program(Platform(Architecture.X86_64))
for address, byte in ((0, b"B"), (2**64 - 16, b"A")):
    prog.add_memory_segment(
        address, 16, lambda a, count, offset, physical, byte=byte: byte * count
    )
print("read(2**64 - 4, 8) =", prog.read(2**64 - 4, 8))
assert prog.read(2**64 - 4, 8) == b"AAAABBBB", "it does not wrap any more"
try:
    prog.read(12, 8)
except FaultError as error:
    print("read(12, 8)        : FaultError,", error)
else:
    raise AssertionError("a read over the end of a segment does not fault any more")
EOT
