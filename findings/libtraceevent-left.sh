#!/bin/sh
# libtraceevent 1.7.1 (1.8.4 too): a - b - c in an event's format is worked out as a - (b - c).
#   One would guess C, which is what print formats are written in and how the kernel prints them:
#   operators of one rank from the left. 100 - 20 - 3 is 83 (77 in C), 100 / 20 / 3 is 16 (1),
#   100 - 20 + 3 is 77 (83), "x ? 1 : y ? 2 : 3" with both true is 3 (1). With parentheses all are
#   right.
# Matters: trace-cmd, perf and crash's trace extension print events through it, so that one event
#   has a number in the kernel's own trace file and another in their reports. Put parentheses into
#   the formats of your events, and look at the raw fields of others'.
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
EVENT = [("int a", 4), ("int b", 4), ("int c", 4)]
DATA = struct.pack("<HBBiiii", 42, 0, 0, 7, 100, 20, 3)


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
    '"%d", REC->a - REC->b - REC->c': ("83", "77"),
    '"%d", REC->a / REC->b / REC->c': ("16", "1"),
    '"%d", REC->a - REC->b + REC->c': ("77", "83"),
    '"%d", REC->a > 5 ? 1 : REC->c > 1 ? 2 : 3': ("3", "1"),
    '"%d", (REC->a - REC->b) - REC->c': ("77", "77"),
    '"%d", REC->a > 5 ? 1 : (REC->c > 1 ? 2 : 3)': ("1", "1"),
}
for arguments, (seen, kernel) in SEEN.items():
    printed = show(arguments)
    print(f"{arguments:46} libtraceevent {printed!r}, kernel {kernel!r}")
    assert printed == seen, arguments
EOT
