#!/bin/sh
# pahole 1.24 (1.30 and 1.32 too): "--contains in" lists only structures with a named member of
#   the type "struct in" itself.
#   One would guess all that contain one. An array of them, one inside an anonymous struct, and
#   one behind a typedef are not seen, in DWARF and BTF alike.
# Matters: "which structures hold a list_head, or a spinlock" is what one asks of an address found
#   in a dump. struct free_area, an array of list heads, is not in the answer.
# Needs: Debian 12 (apt-get, dpkg-deb), gcc, network. Exits 1 when it has changed.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
apt-get -qq -o APT::Sandbox::User=root download pahole=1.24-4.1 libbpf1 libdw1 libelf1
for package in ./*.deb; do dpkg-deb -x "$package" root; done
LD_LIBRARY_PATH=$(dirname "$folder"/root/usr/lib/*/libbpf.so.1)
export LD_LIBRARY_PATH
cat >types.c <<'EOT'
struct in { long x; };
typedef struct in alias;
struct plain { struct in i; } a;
struct array { struct in i[2]; } b;
struct anonymous { struct { struct in i; }; } c;
struct behind_typedef { alias i; } d;
struct pointer { struct in *i; } e;
EOT
gcc -g -c types.c
root/usr/bin/pahole -J types.o
for format in dwarf btf; do
  printf '%s: ' "$format"
  root/usr/bin/pahole -F "$format" --contains in types.o | tee found
  [ "$(cat found)" = plain ]
done
