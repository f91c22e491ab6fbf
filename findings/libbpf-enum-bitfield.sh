#!/bin/sh
# libbpf 1.1.2 (1.5.0 too): btf_dump__dump_type_data() takes a bit field of an enumeration for 0,
#   and leaves it out, if it does not begin in the first byte of an aligned int.
#   One would guess that it is shown by its value, as bit fields of integers and plain
#   enumerations are. A two-bit state of 2 at bit 2 is shown as "BUSY", and at bit 8 it is not
#   there. With emit_zeroes, which is to show members that are 0 too, it is there and is "BUSY".
# Matters: small states are what such fields hold, and by the rules of the output a member that is
#   not printed is 0, which is a state as well. Ask for zeroes always.
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


class Options(c.Structure):
    _fields_ = [("size", c.c_size_t), ("indent", c.c_char_p), ("level", c.c_int),
                ("compact", c.c_bool), ("skip_names", c.c_bool), ("emit_zeroes", c.c_bool)]


@printer
def collect(context, template, arguments):
    line = c.create_string_buffer(512)
    libc.vsnprintf(line, 512, template, arguments)
    text.append(line.value.decode())


def printed(offset, zeroes):
    """The structure { int first; enum state state : 2; int rest } with the state at this bit, being 2."""
    btf = c.c_void_p(lib.btf__new_empty())
    integer = lib.btf__add_int(btf, b"int", c.c_size_t(4), 1)
    enum = lib.btf__add_enum(btf, b"state", c.c_uint32(4))
    lib.btf__add_enum_value(btf, b"BUSY", c.c_int64(2))
    struct = lib.btf__add_struct(btf, b"task", c.c_uint32(12))
    lib.btf__add_field(btf, b"first", integer, c.c_uint32(0), c.c_uint32(0))
    lib.btf__add_field(btf, b"state", enum, c.c_uint32(offset), c.c_uint32(2))
    dump = c.c_void_p(lib.btf_dump__new(btf, collect, None, None))
    text.clear()
    options = Options(c.sizeof(Options), compact=True, emit_zeroes=zeroes)
    data = (7 | 2 << offset).to_bytes(12, "little")
    size = c.c_size_t(len(data))
    assert lib.btf_dump__dump_type_data(dump, struct, data, size, c.byref(options)) == len(data)
    return "".join(text)


for offset in (32, 34, 40, 48):
    default, zeroes = printed(offset, False), printed(offset, True)
    print(f"at bit {offset - 32:2}: {default}  emit_zeroes: {zeroes}")
    assert "BUSY" in zeroes
    assert ("BUSY" in default) == (offset < 40), "it is shown now"
EOT
