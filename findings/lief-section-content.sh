#!/bin/sh
# LIEF 1.0.0: longer content for a section is written over the sections behind it, and the symbol
#   table over the content.
#   One would guess that the file grows, as it does for a section that is added, or an error. The
#   section's header has the new length, everything else stays where it was, and write() says
#   nothing: the next section's bytes are those of the new content, and what LIEF makes anew
#   (symbols, names, relocations) stands in the middle of it.
# Matters: "parse, set .BTF's content, write" is the obvious way to put better types into a module
#   with Python. Both the types and what followed them are damaged, under a section table that
#   looks right. Shorter content is right; objcopy --update-section does the longer.
# Needs: python3, pip, gcc, objcopy, network. Exits 1 when it has changed.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m pip install -q --no-compile --target "$folder/lib" lief==1.0.0
cd "$folder"
cat >module.c <<'EOT'
__attribute__((section(".BTF"))) const char types[] = "made";
__attribute__((section(".behind"))) const char behind[] = "what follows";
int function(int a) { return a; }
EOT
gcc -c module.c
head -c 3000 /dev/zero | tr '\0' x >longer
objcopy --update-section .BTF=longer module.o objcopy.o
PYTHONPATH="$folder/lib" python3 - <<'EOT'
import lief

module = lief.parse("module.o")
with open("longer", "rb") as file:
    module.get_section(".BTF").content = list(file.read())
module.write("lief.o")
EOT
section() { # the bytes of section $2 of file $1
  # shellcheck disable=SC2046
  set -- "$1" $(readelf -SW "$1" | sed -n "s/.* \\$2 *PROGBITS *[0-9a-f]* \([0-9a-f]*\) \([0-9a-f]*\).*/\1 \2/p")
  tail -c +$((0x$2 + 1)) "$1" | head -c $((0x$3))
}
for file in objcopy lief; do
  types=$(section "$file.o" .BTF | tr -d x | wc -c)
  echo "$file: $types foreign bytes in .BTF, .behind is $(section "$file.o" .behind | tr '\0' .)"
done | tee printed
grep -qx 'objcopy: 0 foreign bytes in .BTF, .behind is what follows.' printed
grep -qx 'lief: [1-9][0-9]* foreign bytes in .BTF, .behind is xxxxxxxxxxxxx' printed
