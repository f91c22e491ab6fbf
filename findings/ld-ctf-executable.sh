#!/bin/sh
# ld 2.40 and CTF of gcc 12.2: in a linked program no variable or function has a type but those
#   that are in the dynamic symbol table.
#   One would guess that each global symbol keeps the type that the object file has for it. ld's
#   manual says that what is left out by default (--ctf-variables keeps it) is in no symbol table;
#   here "counter" and "main" are in .symtab of both files, and the program has the type of
#   neither. With -rdynamic, and in a shared library, both are there. The types themselves are
#   kept.
# Matters: gdb then calls each variable "no debug info" in a program that was built with -gctf and
#   never stripped, and a core shows no typed global. A statically linked program has none at all.
# Needs: gcc 12, GNU ld and objdump 2.40. Exits 1 when it has changed.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
gcc=$(command -v gcc-12 || command -v gcc)
"$gcc" -dumpfullversion | tee version
ld --version | head -n 1 | tee -a version
grep -q '^12\.' version
grep -q '2\.40' version
echo 'struct pair { int a; long b; } counter; int main(void) { return counter.a; }' >program.c
"$gcc" -gctf -c program.c -o object
"$gcc" -gctf program.c -o program
"$gcc" -gctf -rdynamic program.c -o dynamic
for file in object program dynamic; do
  nm "$file" | grep -c -E ' (counter|main)$' | grep -qx 2
  objdump --ctf "$file" | sed -n '/Data objects/,/Types:/p' >ctf
  printf '%s: ' "$file"
  grep -c -E '^    (counter|main) ->' ctf | tee -a counts || :
  objdump --ctf "$file" | grep -q 'struct pair'
done
printf '3\n0\n2\n' | cmp - counts
