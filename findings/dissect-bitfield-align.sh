#!/bin/sh
# dissect.cstruct 4.7: with align=True, a bit field takes up the whole of its type, and what
#   follows is somewhere else than in C.
#   One would guess the compiler's layout: bit fields are said to be aligned properly, and for all
#   other members align=True has it. In C the member behind "unsigned int flags : 8" is in the
#   next byte; here it is behind the whole int. Of "char t; unsigned int v : 4, w : 4; short id"
#   the fields v and w are at byte 1 in C, and at byte 4 here. Sizes are 8 and 12, of 4 and 4.
# Matters: it is how kernel structures are copied into Python readers, and a bit field beside
#   something narrower is in many (struct pci_dev has "u8 pm_cap; unsigned int pme_support : 5").
#   No error: each member from there on is read from other bytes.
# Needs: python3, pip, gcc, network. Exits 1 when it has changed.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m pip install -q --no-compile --target "$folder/lib" dissect.cstruct==4.7
cd "$folder"
cat >layout.c <<'EOT'
#include <stdio.h>
struct first { unsigned int flags : 8; unsigned char n; unsigned short id; };
struct second { unsigned char t; unsigned int v : 4, w : 4; unsigned short id; };
union { unsigned char bytes[16]; struct first first; struct second second; } u;
int main(void) {
  for (int i = 0; i < 16; i++) u.bytes[i] = 0x10 * i + 15 - i;
  printf("first %zu %u %u %u\n", sizeof u.first, u.first.flags, u.first.n, u.first.id);
  printf("second %zu %u %u %u %u\n", sizeof u.second, u.second.t, u.second.v, u.second.w,
         u.second.id);
}
EOT
gcc -o layout layout.c
./layout | tee compiled
PYTHONPATH="$folder/lib" python3 - <<'EOT' | tee dissected
from dissect.cstruct import cstruct

parser = cstruct()
parser.load(
    """
    struct first { uint32 flags : 8; uint8 n; uint16 id; };
    struct second { uint8 t; uint32 v : 4; uint32 w : 4; uint16 id; };
    """,
    align=True,
)
data = bytes(0x10 * i + 15 - i for i in range(16))
for name, kind in (("first", parser.first), ("second", parser.second)):
    print(name, len(kind), *(getattr(kind(data), field) for field in kind.fields))
EOT
printf 'first 4 15 30 15405\nsecond 4 15 14 1 15405\n' | cmp - compiled
printf 'first 8 15 75 30825\nsecond 12 15 11 4 38535\n' | cmp - dissected
