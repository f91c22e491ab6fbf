#!/bin/sh
# gdb 13.1 (16.3 too): in a module's file each pointer of initialised data is 0x0, and 0x0 has a name.
#   One would guess the function that the source says, as vmlinux shows it, or a bare 0: gdb lays a
#   relocatable file's sections side by side and finds each symbol and line there. It relocates
#   debug information only, so a table of operations reads as the first function of .text, in
#   every slot.
# Matters: "p driver_ops" on a .ko, to see what a dump's pointer should be, gives a plausible and
#   wrong name. The relocations of .data (readelf -r) have the truth.
# Needs: Debian 12 (apt-get, dpkg-deb), gcc, network. Exits 1 when it has changed.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
apt-get -qq -o APT::Sandbox::User=root download gdb-minimal=13.1-3 libmpfr6 libgmp10 libexpat1 \
  libreadline8 libtinfo6 libncursesw6 libdebuginfod1 libipt2 libxxhash0 libcurl3-gnutls
for package in ./*.deb; do dpkg-deb -x "$package" root; done
LD_LIBRARY_PATH=$(dirname "$folder"/root/usr/lib/*/libmpfr.so.6)
export LD_LIBRARY_PATH
cat >module.c <<'EOT'
int first(int a) { return a; }
int open_it(int a) { return a + 1; }
int close_it(int a) { return a + 2; }
struct { int size; int (*open)(int), (*close)(int); const char *name; } driver_ops = {
  7, open_it, close_it, "driver"
};
EOT
gcc -g -c module.c
root/usr/bin/gdb --version | head -n 1
root/usr/bin/gdb -nx -batch -ex 'p open_it' -ex 'p driver_ops' module.o | tee printed
grep -q '} 0x[1-9a-f][0-9a-f]* <open_it>' printed
grep -q 'size = 7, open = 0x0 <first>, close = 0x0 <first>, name = 0x0 <first>' printed
