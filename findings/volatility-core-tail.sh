#!/bin/sh
# volatility3 2.28.2: a segment of an ELF core whose p_filesz is less than its p_memsz does not
#   exist.
#   One would guess the bytes that are in the file, and zeros or an error for the rest. Elf64Layer
#   leaves the whole segment out: each address of it is an InvalidAddressException, the first, of
#   which the file has the byte, too. The other segments of the file read as they should.
# Matters: makedumpfile -E ends a segment's file part where a filtered tail begins. All of such a
#   segment's memory is then "paged out" to each plugin, and nothing says that a segment was
#   skipped. (drgn-core-tail.sh has drgn's view of such a segment.)
# Needs: python3, pip, network. Exits 1 when it has changed.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m pip install -q --no-compile --target "$folder/lib" volatility3==2.28.2
PYTHONPATH="$folder/lib" python3 - <<'EOT'
import struct

from volatility3.framework import contexts, exceptions
from volatility3.framework.layers import elf, physical

VIRTUAL = 0xFFFF888000000000


def core(*segments):
    """Return an ELF core of (physical address, bytes in the file, size in memory)."""
    start = 64 + 56 * len(segments)
    header = b"\x7fELF\2\1\1".ljust(16, b"\0")
    header += struct.pack(
        "<HHIQQQIHHHHHH", 4, 62, 1, 0, 64, 0, 0, 64, 56, len(segments), 0, 0, 0
    )
    body = b""
    for address, data, size in segments:
        offset = start + len(body)
        place = (offset, VIRTUAL + address, address, len(data), size)
        header += struct.pack("<IIQQQQQQ", 1, 7, *place, 0)
        body += data
    return header + body


def reads(image):
    """Return what two addresses of the first segment and one of the second read as."""
    context = contexts.Context()
    context.add_layer(physical.BufferDataLayer(context, "base", "base", image))
    context.config["core.base_layer"] = "base"
    layer = elf.Elf64Layer(context, "core", "core")
    found = []
    for address in (0x1000, 0x1800, 0x4000):
        try:
            found.append(layer.read(address, 4))
        except exceptions.InvalidAddressException:
            found.append(None)
    return found


whole = reads(core((0x1000, b"A" * 4096, 4096), (0x4000, b"B" * 4096, 4096)))
tail = reads(core((0x1000, b"A" * 2048, 4096), (0x4000, b"B" * 4096, 4096)))
print("whole segments:", whole)
print("with a tail   :", tail)
assert whole == [b"AAAA", b"AAAA", b"BBBB"]
assert tail == [None, None, b"BBBB"], "a segment with a tail reads otherwise now"
EOT
