#!/bin/sh
# dwarffi 0.0.39: a bit field of an enumeration cannot be read, and a structure that has one
#   cannot be printed.
#   One would guess the enumerator or its number: a plain enum member gives both, and a bit field
#   of int is right, sign included. Reading it is "ValueError: Base type not found or missing
#   size", and so are to_dict() and pretty_print() of the whole structure.
# Matters: it is for kernel structures, and such fields are in them ("enum bpf_iter_state state:2"
#   of struct bpf_reg_state). One of them hides all the other members from a printout.
# Needs: python3, pip, network. Exits 1 when it has changed.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m pip install -q --no-compile --target "$folder/lib" dwarffi==0.0.39
PYTHONPATH="$folder/lib" python3 - "$folder" <<'EOT'
import json
import sys

from dwarffi import DFFI


def field(kind, name, position):
    base = {"kind": kind, "name": name}
    return {"kind": "bitfield", "bit_position": position, "bit_length": 3, "type": base}


number = {"size": 4, "signed": True, "kind": "int", "endian": "little"}
members = {
    "number": {"offset": 0, "type": field("base", "int", 0)},
    "state": {"offset": 0, "type": field("enum", "state", 3)},
    "plain": {"offset": 4, "type": {"kind": "enum", "name": "state"}},
}
table = {
    "metadata": {"format": "6.2.0", "producer": {"name": "by hand", "version": "1"}},
    "base_types": {"int": number, "pointer": dict(number, size=8, signed=False)},
    "user_types": {"s": {"kind": "struct", "size": 8, "fields": members}},
    "enums": {"state": {"size": 4, "base": "int", "constants": {"IDLE": 0, "BUSY": 2}}},
    "symbols": {},
}
path = f"{sys.argv[1]}/types.json"
with open(path, "w") as file:
    json.dump(table, file)
types = DFFI(path)
value = types.from_buffer("struct s", bytearray(b"\x17\0\0\0\2\0\0\0"))


def answer(question):
    try:
        return question()
    except ValueError as error:
        return f"ValueError: {error}"


print("number :", value.number)
print("plain  :", value.plain)
state, whole = answer(lambda: value.state), answer(lambda: types.to_dict(value))
print("state  :", state)
print("to_dict:", whole)
assert value.number == -1 and int(value.plain) == 2
assert state == whole == "ValueError: Base type not found or missing size.", "it has changed"
EOT
