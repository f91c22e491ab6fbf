#!/bin/sh
# libtraceevent 1.7.1 ("%td" in 1.8.4 too, which knows "%c" and "%+d"): a conversion that it does
#   not know is printed as text and leaves its argument to the next one.
#   One would guess that "%c %d" prints a character and a number, as the kernel does, or that the
#   event is marked as one that cannot be printed, as it is for a bad expression. It is ">c< 65":
#   the number is the character's, and the number's value is gone.
# Matters: each value behind the first such conversion is another field's, under the right name in
#   the text. USB controllers' events print their flags with "%c".
# Needs: Debian 12 (apt-get, dpkg-deb), python3, network. Exits 1 when it has changed.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
apt-get -qq -o APT::Sandbox::User=root download libtraceevent1=1:1.7.1-1
for package in ./*.deb; do dpkg-deb -x "$package" root; done
LD_LIBRARY_PATH=$(dirname "$folder"/root/usr/lib/*/libtraceevent.so.1)
export LD_LIBRARY_PATH
python3 - <<'EOT'
import ctypes as c
import struct

lib = c.CDLL("libtraceevent.so.1")
lib.tep_alloc.restype = lib.tep_find_event.restype = c.c_void_p
COMMON = [("unsigned short common_type", 2), ("unsigned char common_flags", 1),
          ("unsigned char common_preempt_count", 1), ("int common_pid", 4)]
EVENT = [("unsigned int letter", 4), ("int count", 4)]
DATA = struct.pack("<HBBiIi", 42, 0, 0, 7, 65, 5)


class Record(c.Structure):
    _fields_ = [("times", c.c_uint64 * 3), ("record_size", c.c_int), ("size", c.c_int),
                ("data", c.c_char_p), ("rest", c.c_uint64 * 4)]


def show(arguments):
    """What libtraceevent prints for DATA by an event with these arguments of its format."""
    text, offset = "name: made\nID: 42\nformat:\n", 0
    for field, size in COMMON + EVENT:
        if field == EVENT[0][0]:
            text += "\n"
        signed = int("unsigned" not in field)
        text += f"\tfield:{field};\toffset:{offset};\tsize:{size};\tsigned:{signed};\n"
        offset += size
    text = f"{text}\nprint fmt: {arguments}\n".encode()
    handle = c.c_void_p(lib.tep_alloc())
    lib.tep_set_long_size(handle, 8)
    assert lib.tep_parse_event(handle, text, c.c_ulong(len(text)), b"made") == 0
    sequence = c.create_string_buffer(256)
    lib.trace_seq_init(sequence)
    record = Record(record_size=len(DATA), size=len(DATA), data=DATA)
    lib.tep_print_event(handle, sequence, c.byref(record), b"%s", b"INFO")
    lib.trace_seq_terminate(sequence)
    return c.string_at(c.c_void_p.from_buffer(sequence).value).decode()


SEEN = {
    '"%c %d", REC->letter, REC->count': (">c< 65", "A 5"),
    '"state=%c count=%d", REC->letter, REC->count': ("state=>c< count=65", "state=A count=5"),
    '"%+d %d", REC->count, REC->letter': (">+<d 5", "+5 65"),
    '"%td %d", REC->count, REC->letter': (">t<d 5", "5 65"),
    '"%d %d", REC->letter, REC->count': ("65 5", "65 5"),
}
for arguments, (seen, kernel) in SEEN.items():
    printed = show(arguments)
    print(f"{arguments:47} libtraceevent {printed!r}, kernel {kernel!r}")
    assert printed == seen, arguments
EOT
