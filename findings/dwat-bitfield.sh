#!/bin/sh
# dwat 0.7.7: a bit-field member has a width and no place.
#   One would guess a byte offset and a bit offset, as each DWARF reader gives. With DWARF 5 (what
#   compilers write unless told otherwise) Member.offset is None for each bit field; with DWARF 4
#   it is the byte offset of the storage unit, and where in the unit the field lies is not to be
#   had.
# Matters: the printed structure looks complete and compiles, but a flag cannot be read from a
#   dump's bytes by it. Test for None before adding offsets up.
# Needs: python3, pip, gcc, network. Exits 1 when it has changed.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m pip install -q --no-compile --target "$folder/lib" dwat==0.7.7
cd "$folder"
echo 'struct flags { int n; unsigned a : 3, b : 5; } f; int main(void) { return 0; }' >flags.c
for version in 4 5; do gcc -gdwarf-$version -o flags-$version flags.c; done
PYTHONPATH="$folder/lib" python3 - <<'EOT'
import dwat

offsets = {}
for version in (4, 5):
    dwarf = dwat.load_dwarf_path(f"flags-{version}")
    members = dwarf.lookup_type(dwat.NamedType.Struct, "flags").members()
    offsets[version] = [(member.name, member.offset, member.bit_size) for member in members]
    print(f"DWARF {version}: (name, offset, bit_size)", offsets[version])
    others = {name for name in dir(members[1]) if not name.startswith("_")}
    assert others == {"bit_size", "byte_size", "name", "offset", "type"}, "there is more now"
assert offsets[4] == [("n", 0, None), ("a", 4, 3), ("b", 4, 5)]
assert offsets[5] == [("n", 0, None), ("a", None, 3), ("b", None, 5)], "offsets are there now"
EOT
