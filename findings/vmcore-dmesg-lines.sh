#!/bin/sh
# vmcore-dmesg of kexec-tools 2.0.25: a message of two lines has a time stamp on the first only.
#   One would guess what dmesg and the console show for such a record: each line with the record's
#   time stamp, as the kernel does it when it prints. vmcore-dmesg prints the text as it is in the
#   ring buffer, newline and all.
# Matters: vmcore-dmesg.txt is what stays of many crashes. A program that reads it by its time
#   stamps takes the second line of a panic or a WARN() for something else, or for none.
# Needs: Debian 12 (apt-get, dpkg-deb), python3, network. Exits 1 when it has changed.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
apt-get -qq -o APT::Sandbox::User=root download kexec-tools=1:2.0.25-3+deb12u3
for package in ./*.deb; do dpkg-deb -x "$package" root; done
python3 - <<'EOT'
import struct

BASE = 0xFFFFFFFF81000000
POINTER, RING, STATES, INFOS, TEXT, NAMES = 0x100, 0x140, 0x200, 0x800, 0x1000, 0x1800
FINALIZED, FIRST = 2, 16
memory = bytearray(0x2000)


def put(layout, offset, *values):
    struct.pack_into("<" + layout, memory, offset, *values)


records = [b"one line", b"line of two\nand its second"]
position = 256
for number, text in enumerate(records):
    task, end = FIRST + number, position + 8 + (len(text) + 7) // 8 * 8
    put("Q", TEXT + position % 256, task)
    start = TEXT + position % 256 + 8
    memory[start : start + len(text)] = text
    put("QQQ", STATES + 24 * (task % 8), FINALIZED << 62 | task, position, end)
    put("QQH", INFOS + 88 * (task % 8), number, (number + 1) * 10**9, len(text))
    position = end
put("Q", POINTER, BASE + RING)
last = FIRST + len(records) - 1
put("QQQQQQ", RING, 3, BASE + STATES, BASE + INFOS, last, FIRST, 0)
put("QQQQ", RING + 48, 8, BASE + TEXT, position, 256)
for index, name in enumerate((b"Linux", b"host", b"6.12.0", b"#1", b"x86_64")):
    memory[NAMES + 65 * index : NAMES + 65 * index + len(name)] = name

layouts = {
    "printk_ringbuffer": (88, "desc_ring 0 text_data_ring 48 fail 80"),
    "prb_desc_ring": (48, "count_bits 0 descs 8 infos 16 head_id 24 tail_id 32"),
    "prb_desc": (24, "state_var 0 text_blk_lpos 8"),
    "prb_data_blk_lpos": (16, "begin 0 next 8"),
    "printk_info": (88, "seq 0 ts_nsec 8 text_len 16 caller_id 20 dev_info 24"),
    "prb_data_ring": (32, "size_bits 0 data 8 head_lpos 16 tail_lpos 24"),
    "atomic_long_t": (8, "counter 0"),
}
lines = ["OSRELEASE=6.12.0", "PAGESIZE=4096", "OFFSET(uts_namespace.name)=0"]
for name, offset in (("init_uts_ns", NAMES), ("prb", POINTER), ("_stext", 0)):
    lines.append(f"SYMBOL({name})={BASE + offset:x}")
for name, (size, members) in layouts.items():
    lines.append(f"SIZE({name})={size}")
    words = members.split()
    for member, offset in zip(words[::2], words[1::2]):
        lines.append(f"OFFSET({name}.{member})={offset}")
text = "\n".join(lines).encode() + b"\n"
text += b"\n" * (-len(text) % 4)
note = struct.pack("<III12s", 11, len(text), 0, b"VMCOREINFO") + text
header = b"\x7fELF\2\1\1".ljust(16, b"\0")
header += struct.pack("<HHIQQQIHHHHHH", 4, 62, 1, 0, 64, 0, 0, 64, 56, 2, 0, 0, 0)
header += struct.pack("<IIQQQQQQ", 4, 0, 4096, 0, 0, len(note), len(note), 4)
place = (8192, BASE, 0x1000000, len(memory), len(memory))
header += struct.pack("<IIQQQQQQ", 1, 7, *place, 4096)
with open("vmcore", "wb") as file:
    file.write((header.ljust(4096, b"\0") + note).ljust(8192, b"\0") + memory)
EOT
root/sbin/vmcore-dmesg vmcore | tee printed
printf '[    1.000000] one line\n[    2.000000] line of two\nand its second\n' >expected
cmp printed expected
