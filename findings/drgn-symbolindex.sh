#!/bin/sh
# drgn 0.3.0: with symbols from a SymbolIndex, Program.symbol(address) is not the closest one and
#   does not prefer a global symbol, though that is what Program.symbol() is documented to do. Of
#   outer [0x100, 0x200) and inner [0x120, 0x130), address 0x125 is "outer"; of a weak, a global
#   and a local one of the same range it is the weak one. Only SymbolIndex's own text says that it
#   guarantees nothing here.
# Matters: load_vmlinux_kallsyms() and load_module_kallsyms() return a SymbolIndex. Symbols with
#   sizes from a module's .symtab nest (labels in assembler functions), so traces name the
#   wrapper.
# Needs: python3, pip, network. Exits 1 when it has changed.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m pip install -q --no-compile --target "$folder/lib" drgn==0.3.0
PYTHONPATH="$folder/lib" python3 - <<'EOT'
from drgn import Architecture, Platform, Program, Symbol, SymbolBinding, SymbolIndex, SymbolKind


def program(*symbols):
    prog = Program(Platform(Architecture.X86_64))
    index = SymbolIndex(
        Symbol(name, start, size, SymbolBinding[binding], SymbolKind.FUNC)
        for name, start, size, binding in symbols
    )
    prog.register_symbol_finder("index", index, enable_index=0)
    return prog


outer, inner = ("outer", 0x100, 0x100, "LOCAL"), ("inner", 0x120, 0x10, "GLOBAL")
nested = [program(outer, inner).symbol(0x125).name, program(inner, outer).symbol(0x125).name]
alias = program(*((b.lower(), 0x100, 16, b) for b in ("WEAK", "GLOBAL", "LOCAL"))).symbol(0x105)
print("0x125, in both orders:", nested)
print("weak, global or local:", alias.name)
assert nested == ["outer", "outer"], "the closest one wins now"
assert alias.name == "weak", "the global one wins now"
EOT
