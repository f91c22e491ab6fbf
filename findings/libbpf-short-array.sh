#!/bin/sh
# libbpf 1.1.2 (1.5.0 too): btf_dump__dump_type_data() takes too little data for an array, prints
#   the elements that it has, and returns the size of the whole array.
#   One would guess -E2BIG, which an integer or a structure cut short gets. With 8 bytes for
#   int[4] it prints two elements and returns 16.
# Matters: dumps have holes, and a read that stops at one is the common case. The caller cannot
#   see that half of a run queue's or a CPU mask's array was never there.
# Needs: Debian 12 (apt-get, dpkg-deb), python3, network. Exits 1 when it has changed.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
apt-get -qq -o APT::Sandbox::User=root download libbpf1=1:1.1.2-0+deb12u1 libelf1
for package in ./*.deb; do dpkg-deb -x "$package" root; done
LD_LIBRARY_PATH=$(dirname "$folder"/root/usr/lib/*/libbpf.so.1)
export LD_LIBRARY_PATH
python3 - <<'EOT'
import ctypes as c

lib, libc = c.CDLL("libbpf.so.1"), c.CDLL(None)
lib.btf__new_empty.restype = lib.btf_dump__new.restype = c.c_void_p
printer = c.CFUNCTYPE(None, c.c_void_p, c.c_char_p, c.c_void_p)
libc.vsnprintf.argtypes = [c.c_char_p, c.c_size_t, c.c_char_p, c.c_void_p]
text = []


@printer
def collect(context, template, arguments):
    line = c.create_string_buffer(512)
    libc.vsnprintf(line, 512, template, arguments)
    text.append(line.value.decode())


btf = c.c_void_p(lib.btf__new_empty())
integer = lib.btf__add_int(btf, b"int", c.c_size_t(4), 1)
array = lib.btf__add_array(btf, integer, integer, 4)
dump = c.c_void_p(lib.btf_dump__new(btf, collect, None, None))


def printed(type_id, data):
    text.clear()
    result = lib.btf_dump__dump_type_data(dump, type_id, data, c.c_size_t(len(data)), None)
    return result, "".join("".join(text).split())


half, short = printed(array, b"\1\0\0\0\2\0\0\0"), printed(integer, b"\1\0")
print("int[4] of 8 bytes:", half)
print("int of 2 bytes   :", short)
assert half == (16, "(int[4])[1,2,]"), "short arrays are told now"
assert short == (-7, ""), "not -E2BIG any more"
EOT
