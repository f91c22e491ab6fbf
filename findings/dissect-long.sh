#!/bin/sh
# dissect.cstruct 4.7: long and unsigned long are 4 bytes, where pointers are 8.
#   One would guess 8, as with each compiler for 64-bit Linux: a pointer is 8 bytes by default on a
#   64-bit machine, and with pointer="uint64" too. Those are the sizes of Windows. There is no
#   error, and no option for it but to define the type oneself.
# Matters: "unsigned long" is in nearly each kernel structure. "unsigned long flags; void *next" has
#   next at byte 4; with align=True it is at 8 again and sizes are right, so that only the values
#   tell: flags of 0x8000000001 are 1, and a kernel's address kept in a long is its lower half.
# Needs: python3, pip, gcc, network. Exits 1 when it has changed.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m pip install -q --no-compile --target "$folder/lib" dissect.cstruct==4.7
cd "$folder"
cat >print.c <<'EOT'
#include <stddef.h>
#include <stdio.h>
struct item { unsigned long flags; void *next; };
int main(void) {
  struct item item = {0x8000000001, 0};
  printf("size %zu, next at %zu, flags %#lx\n", sizeof item, offsetof(struct item, next),
         item.flags);
}
EOT
gcc -o print print.c
./print | tee seen
PYTHONPATH="$folder/lib" python3 - <<'EOT' | tee -a seen
import struct

from dissect.cstruct import cstruct

data = struct.pack("<QQ", 0x8000000001, 0)
for align in (False, True):
    parser = cstruct(pointer="uint64")
    parser.load("struct item { unsigned long flags; void *next; };", align=align)
    item = parser.item
    place = item.fields["next"].offset
    print(f"size {len(item)}, next at {place}, flags {item(data).flags:#x}")
EOT
cmp - seen <<'EOT'
size 16, next at 8, flags 0x8000000001
size 12, next at 4, flags 0x1
size 16, next at 8, flags 0x1
EOT
