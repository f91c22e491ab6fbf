#!/bin/sh
# pwntools 4.15.0: ELF.vaddr_to_offset() of an address in .bss is an AttributeError.
#   One would guess None, which it returns for an address that is in no segment: .bss has no place
#   in the file. For memory behind p_filesz it finds a piece of its own zeros in place of the
#   segment, and asks it for a program header. ELF.read() of the same address gives zeros.
# Matters: "is this in the file, and where" is what the function is for, when one patches or
#   compares a vmlinux, and half of a kernel's variables are in .bss. Catch AttributeError too.
# Needs: python3, pip, gcc, network. Exits 1 when it has changed.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m pip install -q --no-compile --target "$folder/lib" pwntools==4.15.0
cd "$folder"
echo 'int zeros[16], number = 5; int main(void) { return zeros[3] + number; }' >program.c
gcc -no-pie -o program program.c
PWNLIB_NOTERM=1 HOME="$folder" PYTHONPATH="$folder/lib" python3 - <<'EOT'
from pwnlib.context import context
from pwnlib.elf.elf import ELF

context.log_level = "critical"
program = ELF("program", checksec=False)


def offset(address):
    try:
        return program.vaddr_to_offset(address)
    except AttributeError as error:
        return f"AttributeError: {error}"


zeros, number = program.symbols["zeros"], program.symbols["number"]
found = {"data": offset(number), "no segment": offset(0x10), ".bss": offset(zeros)}
print(found, "read:", program.read(zeros, 4), program.read(number, 4))
assert program.read(zeros, 4) == bytes(4) and program.read(number, 4) == b"\5\0\0\0"
assert isinstance(found["data"], int) and found["no segment"] is None
assert str(found[".bss"]).startswith("AttributeError"), ".bss has changed"
EOT
