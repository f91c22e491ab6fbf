#!/bin/sh
# libbpf 1.1.2 (1.5.0 too): btf_dump__dump_type_data() leaves the NUL bytes out of a char array,
#   and what follows them moves up.
#   One would guess that the list ends at the first NUL or has '\0' in it: an int array keeps its
#   zeros. The 8 bytes "ab\0cd\0\0\0" are printed as 'a','b','c','d': four of eight elements, with
#   nothing to tell where they stood.
# Matters: what prints a structure of a dump through libbpf shows a comm or a name that held
#   another, longer one before as both run together, and binary char arrays at wrong indices.
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
char = lib.btf__add_int(btf, b"char", c.c_size_t(1), 2)
integer = lib.btf__add_int(btf, b"int", c.c_size_t(4), 1)
chars = lib.btf__add_array(btf, integer, char, 8)
integers = lib.btf__add_array(btf, integer, integer, 2)
dump = c.c_void_p(lib.btf_dump__new(btf, collect, None, None))


def printed(type_id, data):
    text.clear()
    size = lib.btf_dump__dump_type_data(dump, type_id, data, c.c_size_t(len(data)), None)
    assert size == len(data), size
    return "".join("".join(text).split())


name, numbers = printed(chars, b"ab\0cd\0\0\0"), printed(integers, bytes(4) + b"\1\0\0\0")
print("char[8]:", name)
print("int[2] :", numbers)
assert name == "(char[8])['a','b','c','d',]", "the NUL bytes show now"
assert numbers == "(int[2])[0,1,]"
EOT
