#!/bin/sh
# libtraceevent 1.7.1 (1.8.4 too): a signed field is never negative in a condition or a table.
#   One would guess that "signed:1" in the event's format counts, as it does in the kernel, which
#   compiles the same expression. "ret < 0" is false for an int or a long of -1,
#   __print_symbolic() does not find -1, a cast to long long gives 4294967295, and a signed char
#   of -3 is 253 even as a plain "%d". Ints and longs as a plain "%d" or "%ld" are right, which
#   hides it.
# Matters: a condition on the return value, or a table of -ENOENT and the like, is how events tell
#   errors. trace-cmd and perf report each failure as a success or as a large number, where the
#   kernel's own trace file has the error.
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
EVENT = [("int n", 4), ("signed char c", 1), ("char pad[3]", 3), ("long l", 8)]
DATA = struct.pack("<HBBiib3xq", 42, 0, 0, 7, -1, -3, -4)


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
    '"%s", REC->n < 0 ? "failed" : "done"': ("done", "failed"),
    '"%s", REC->l < 0 ? "failed" : "done"': ("done", "failed"),
    '"%s", __print_symbolic(REC->n, { -1, "EPERM" })': ("0xffffffff", "EPERM"),
    '"%lld", (long long)REC->n': ("4294967295", "-1"),
    '"%d", REC->c': ("253", "-3"),
    '"%d %ld", REC->n, REC->l': ("-1 -4", "-1 -4"),
}
for arguments, (seen, kernel) in SEEN.items():
    printed = show(arguments)
    print(f"{arguments:48} libtraceevent {printed!r}, kernel {kernel!r}")
    assert printed == seen, arguments
EOT
