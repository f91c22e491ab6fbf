#!/bin/sh
# drgn 0.3.0: a bit field wider than int stays a bit field in arithmetic, so a sum wraps at its
#   width.
#   One would guess that "unsigned long f : 40" becomes unsigned long, as a narrow one becomes int
#   (15 in 4 bits plus 1 is 16). But 2**40-1 plus 1 is 0, and the result is 40 bits wide again.
#   (GCC gives wide bit fields a type of their own too; clang does not.)
# Matters: page and extent numbers in packed kernel structures are such fields; "field + 1" or
#   "field << 12" in a helper silently loses the top. cast() to the plain type first.
# Needs: python3, pip, network. Exits 1 when it has changed.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m pip install -q --no-compile --target "$folder/lib" drgn==0.3.0
PYTHONPATH="$folder/lib" python3 - <<'EOT'
from drgn import Architecture, Object, Platform, Program, cast

prog = Program(Platform(Architecture.X86_64))
narrow = Object(prog, prog.int_type("unsigned int", 4, False), 15, bit_field_size=4)
wide = Object(prog, prog.int_type("unsigned long", 8, False), 2**40 - 1, bit_field_size=40)
print("15:4 + 1            =", narrow + 1)
print("(2**40-1):40 + 1    =", wide + 1)
print("(2**40-1):40 << 12  =", wide << 12)
print("cast first, then +1 =", cast("unsigned long", wide) + 1)
assert (narrow + 1).value_() == 16
assert (wide + 1).value_() == 0 and (wide + 1).bit_field_size_ == 40, "it widens now"
assert (wide << 12).value_() == (2**40 - 1 << 12) % 2**40, "it widens now"
assert (cast("unsigned long", wide) + 1).value_() == 2**40
EOT
