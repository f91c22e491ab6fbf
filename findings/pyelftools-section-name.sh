#!/bin/sh
# pyelftools 0.33: of two sections of one name, get_section_by_name() returns the last.
#   One would guess the first, as LIEF 1.0.0 and the kernel's module loader have it, or an error.
#   The names are kept in a dictionary, in which the last one stays; nothing tells that there were
#   two, and objdump shows both.
# Matters: equal names are ordinary in objects and modules that are built with section groups or
#   without a linker script (and llvm-objcopy makes a second .BTF: llvm-objcopy-add-section.sh).
#   Two Python tools, one file, different bytes.
# Needs: python3, pip, as, objdump, network. Exits 1 when it has changed.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m pip install -q --no-compile --target lib pyelftools==0.33 lief==1.0.0
as -o module.o - <<'EOT'
.section .data.state,"awG",@progbits,one,comdat
.ascii "first"
.section .data.state,"awG",@progbits,two,comdat
.ascii "second"
EOT
objdump -s -j .data.state module.o | tail -n 4
PYTHONPATH=lib python3 - <<'EOT'
import lief
from elftools.elf.elffile import ELFFile

with open("module.o", "rb") as file:
    elf = ELFFile(file)
    names = [section.name for section in elf.iter_sections()]
    by_pyelftools = elf.get_section_by_name(".data.state").data()
by_lief = bytes(lief.parse("module.o").get_section(".data.state").content)
print("sections of that name:", names.count(".data.state"))
print("pyelftools:", by_pyelftools, "LIEF:", by_lief)
assert names.count(".data.state") == 2
assert by_lief == b"first" and by_pyelftools == b"second", "the choice has changed"
EOT
