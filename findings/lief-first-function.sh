#!/bin/sh
# LIEF 1.0.0: the first function of each section of a module's file is no function.
#   One would guess that a symbol of type FUNC is one wherever it lies. Binary.functions and
#   get_function_address() take an address of 0 for none, and in a relocatable file that is where
#   each section begins. get_symbol() has them all.
# Matters: a module's init function is alone in .init.text, so that each module lacks it, and its
#   exit function for the same reason. A map of addresses made of "functions" gives their code to
#   nobody.
# Needs: python3, pip, gcc, network. Exits 1 when it has changed.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m pip install -q --no-compile --target "$folder/lib" lief==1.0.0
cd "$folder"
cat >module.c <<'EOT'
int probe(int a) { return a; }
int remove_it(int a) { return a + 1; }
__attribute__((section(".init.text"))) int init_module(void) { return probe(1); }
__attribute__((section(".exit.text"))) void cleanup_module(void) { remove_it(1); }
EOT
gcc -c module.c
PYTHONPATH="$folder/lib" python3 - <<'EOT'
import lief

module = lief.parse("module.o")
found = {function.name: function.address for function in module.functions}
for symbol in module.symbols:
    if symbol.is_function:
        print(f"{symbol.name:15} at {symbol.value:#4x}:", module.get_function_address(symbol.name))
print("functions:", found)
functions = {symbol.name for symbol in module.symbols if symbol.is_function}
assert functions == {"probe", "remove_it", "init_module", "cleanup_module"}, functions
assert list(found) == ["remove_it"], "the others are there now"
for name in functions - {"remove_it"}:
    assert module.get_function_address(name) == lief.lief_errors.not_found, name
EOT
