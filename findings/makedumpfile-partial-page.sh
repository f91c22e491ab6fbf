#!/bin/sh
# makedumpfile 1.7.2 (not 1.7.6): memory in a page that a segment fills only in part is left out,
#   at dump level 0 too.
#   One would guess that "-d 0" copies all memory: no page is to be excluded. Of a segment of
#   three and a half pages the half is gone. A compressed dump calls the page excluded; in an ELF
#   dump (-E) the segment keeps its length in memory, so that the half reads as zeros. If the next
#   segment begins in the middle of that page, its half is lost in the compressed dump too.
# Matters: e820 maps and /proc/iomem have such borders, the end of low memory (0x9fbff) on nearly
#   each PC. "Excluded" and zeros both look like the dump level's work.
# Needs: Debian 12 (apt-get, dpkg-deb), python3, pip, network. Exits 1 when it has changed.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m pip install -q --no-compile --target "$folder/lib" drgn==0.3.0
cd "$folder"
apt-get -qq -o APT::Sandbox::User=root download makedumpfile=1:1.7.2-1 libsnappy1v5 liblzo2-2
for package in ./*.deb; do dpkg-deb -x "$package" root; done
python3 - <<'EOT'
import struct

BASE, PLACE, NAMES, TABLE = 0xFFFFFFFF81000000, 0x1000000, 0x800, 0x1000
kernel = bytearray(0x4000)
for index, name in enumerate((b"Linux", b"host", b"6.1.0", b"#1", b"x86_64")):
    kernel[NAMES + 65 * index : NAMES + 65 * index + len(name)] = name
words = {0: BASE, TABLE + 8 * 511: PLACE + TABLE + 0x1063}
words |= {TABLE + 0x1000 + 8 * 510: PLACE + TABLE + 0x2063}
words |= {TABLE + 0x2000 + 8 * i: i << 21 | 0xE3 for i in range(512)}  # 2 MiB pages
for offset, word in words.items():
    struct.pack_into("<Q", kernel, offset, word)
symbols = {"init_uts_ns": NAMES, "swapper_pg_dir": TABLE, "init_top_pgt": TABLE, "_stext": 0,
           "mem_map": 0, "contig_page_data": 8}
info = "".join(f"SYMBOL({name})={BASE + offset:x}\n" for name, offset in symbols.items())
info += """OSRELEASE=6.1.0
PAGESIZE=4096
OFFSET(uts_namespace.name)=0
NUMBER(phys_base)=0
NUMBER(pgtable_l5_enabled)=0
SIZE(page)=64
OFFSET(page.flags)=0
OFFSET(page._refcount)=52
OFFSET(page.mapping)=24
OFFSET(page.lru)=8
SIZE(pglist_data)=100
"""
info = info.encode() + b"\n" * (-len(info) % 4)
notes = struct.pack("<III8s", 5, 336, 1, b"CORE") + bytes(336)
notes += struct.pack("<III12s", 11, len(info), 0, b"VMCOREINFO") + info
segments = [(BASE, PLACE, bytes(kernel)), (0, 0x2000000, b"A" * 0x3000 + b"B" * 0x800),
            (0, 0x2003800, b"C" * 0x800 + b"D" * 0x1000)]
header = b"\x7fELF\2\1\1".ljust(16, b"\0")
header += struct.pack("<HHIQQQIHHHHHH", 4, 62, 1, 0, 64, 0, 0, 64, 56, 4, 0, 0, 0)
header += struct.pack("<IIQQQQQQ", 4, 0, 0x1000, 0, 0, len(notes), len(notes), 0)
data = notes.ljust(0x1000, b"\0")
for _, physical, memory in segments:
    virtual = BASE if physical == PLACE else 0xFFFF888000000000 + physical
    place = (0x1000 + len(data), virtual, physical, len(memory), len(memory), 0)
    header += struct.pack("<IIQQQQQQ", 1, 7, *place)
    data += memory
with open("vmcore", "wb") as file:
    file.write(header.ljust(0x1000, b"\0") + data)
EOT
LD_LIBRARY_PATH=$(echo "$folder"/root/usr/lib/*-linux-gnu):$(echo "$folder"/root/lib/*-linux-gnu)
export LD_LIBRARY_PATH
root/usr/bin/makedumpfile -d 0 -c vmcore compressed >log 2>&1
root/usr/bin/makedumpfile -d 0 -E vmcore elf >>log 2>&1
unset LD_LIBRARY_PATH
DRGN_DISABLE_PLUGINS='*' PYTHONPATH="$folder/lib" python3 - <<'EOT'
from drgn import FaultError, Program

results = {}
for name in ("vmcore", "compressed", "elf"):
    prog = Program()
    prog.set_core_dump(name)
    seen = ""
    for address in (0x2002000, 0x2003000, 0x2003800, 0x2004000):
        try:
            seen += prog.read(address, 1, physical=True).decode().replace("\0", "0")
        except FaultError as error:
            assert "xcluded" in str(error), error
            seen += "-"
    print(f"{name:10} {seen}")
    results[name] = seen
assert results == {"vmcore": "ABCD", "compressed": "A--D", "elf": "A0CD"}, "it is all there now"
EOT
