#!/bin/sh
# volatility3 2.28.2: a signed bit field is read as unsigned.
#   One would guess that the base type decides, which the symbol file names for each bit field. A
#   "signed int f : 3" with all bits set is 7, a 40-bit long of -1 is 1099511627775; an ordinary
#   int of -1 beside it is -1.
# Matters: the symbol file says it right (dwarf2json writes the base type and its sign), and the
#   field is small, so the value is plausible: a state of -1 is state 7.
# Needs: python3, pip, network. Exits 1 when it has changed.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m pip install -q --no-compile --target "$folder/lib" volatility3==2.28.2
PYTHONPATH="$folder/lib" python3 - "$folder" <<'EOT'
import json
import sys

from volatility3.framework import contexts
from volatility3.framework.layers import physical
from volatility3.framework.symbols import intermed


def base(size, signed):
    return {"size": size, "signed": signed, "kind": "int", "endian": "little"}


def field(name, position, length):
    kind = {"kind": "base", "name": name}
    return {"kind": "bitfield", "bit_position": position, "bit_length": length, "type": kind}


members = {
    "narrow": {"offset": 0, "type": field("int", 0, 3)},
    "plain": {"offset": 4, "type": {"kind": "base", "name": "int"}},
    "wide": {"offset": 8, "type": field("long", 24, 40)},
    "unsigned": {"offset": 0, "type": field("unsigned int", 3, 5)},
}
table = {
    "metadata": {"format": "6.2.0", "producer": {"name": "by hand", "version": "1"}},
    "base_types": {
        "int": base(4, True),
        "long": base(8, True),
        "unsigned int": base(4, False),
        "pointer": base(8, False),
    },
    "user_types": {"s": {"kind": "struct", "size": 16, "fields": members}},
    "enums": {},
    "symbols": {},
}
path = f"{sys.argv[1]}/types.json"
with open(path, "w") as file:
    json.dump(table, file)
context = contexts.Context()
context.add_layer(physical.BufferDataLayer(context, "memory", "memory", b"\xff" * 16))
types = intermed.IntermediateSymbolTable(context, "types", "types", f"file://{path}")
context.symbol_space.append(types)
value = context.object("types!s", "memory", 0)
found = {name: int(getattr(value, name)) for name in members}
print(found)
assert found["plain"] == -1 and found["unsigned"] == 31
assert found["narrow"] == 7 and found["wide"] == 2**40 - 1, "signed bit fields have changed"
EOT
