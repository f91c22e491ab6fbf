#!/bin/sh
# volatility3 2.28.2: a symbol table that the schema refuses ends `isfinfo --validate` with a
#   traceback.
#   One would guess a row with "False": the column is called "Valid", and schemas.validate() is
#   annotated to return a bool. It catches what jsonschema raises of a broken schema
#   (SchemaError), not what it raises of a broken table (ValidationError): it answers True or
#   raises. The tables behind the broken one are not listed. A table of an unknown format gives
#   False, as guessed.
# Matters: whoever makes tables and writes "if not schemas.validate(table)" never gets there, and
#   one bad table hides the others of a folder.
# Needs: python3, pip, network. Exits 1 when it has changed.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --no-compile volatility3==2.28.2 jsonschema==4.26.0
mkdir -p "$folder/symbols/linux" "$folder/cache"
"$folder/venv/bin/python" - "$folder" <<'EOT'
import base64
import json
import sys

from volatility3 import schemas

folder = sys.argv[1]


def table(kind, form="6.2.0"):
    """A table without a type; the schema allows some kinds of sources only."""
    banner = base64.b64encode(f"Linux version {kind}".encode()).decode()
    return {
        "metadata": {
            "format": form,
            "producer": {"name": "made", "version": "1.0.0"},
            "linux": {"types": [{"kind": kind, "name": "vmlinux"}]},
        },
        "base_types": {"void": {"size": 0, "signed": False, "kind": "void", "endian": "little"}},
        "user_types": {},
        "enums": {},
        "symbols": {
            "linux_banner": {
                "address": 0, "type": {"kind": "base", "name": "void"}, "constant_data": banner
            }
        },
    }


answers = {}
for name, made in (("good", table("dwarf")), ("bad", table("paper")), ("new", table("dwarf", "9.9.9"))):
    try:
        answers[name] = schemas.validate(made, use_cache=False)
    except Exception as e:
        answers[name] = f"raises {type(e).__name__}"
    print(f"{name}: {answers[name]}")
for name, made in (("a-bad", table("paper")), ("b-good", table("dwarf"))):
    with open(f"{folder}/symbols/linux/{name}.json", "w") as f:
        json.dump(made, f)
if answers != {"good": True, "bad": "raises ValidationError", "new": False}:
    sys.exit("validate() has changed")
EOT
if "$folder/venv/bin/vol" -q --offline --cache-path "$folder/cache" -s "$folder/symbols" \
    isfinfo --validate >"$folder/out" 2>"$folder/err"; then
    cat "$folder/out"
    echo "isfinfo has changed"
    exit 1
fi
grep -o 'jsonschema.exceptions.ValidationError' "$folder/err"
