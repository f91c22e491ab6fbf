#!/bin/sh
# cramjam 2.14.0: with a larger output_len than the data has, what comes back is that long, and
#   ends in zeros.
#   One would guess the data: lz4.decompress_block() has output_len as "the upper bound length of
#   decompressed data", and the formats tell where they end. So it is for zstd and zlib as well,
#   where one that is too small makes no difference. snappy.decompress_raw() gives the data, as do
#   the lz4 4.4.5 and zstandard 0.25.0 packages with a bound of theirs.
# Matters: a block of a compressed dump whose length one wants to check against the page size always
#   has the right length. A short one is taken for a page whose rest is zeros.
# Needs: python3, pip, network. Exits 1 when it has changed.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m pip install -q --no-compile --target "$folder/lib" cramjam==2.14.0 lz4==4.4.5 \
  zstandard==0.25.0
PYTHONPATH="$folder/lib" python3 - <<'EOT'
import cramjam
import lz4.block
import zstandard

DATA = b"page" * 500
block = bytes(cramjam.lz4.compress_block(DATA, store_size=False))
frame = zstandard.ZstdCompressor(write_content_size=False).compress(DATA)
lengths = {}
for name, module in (("zstd", cramjam.zstd), ("zlib", cramjam.zlib)):
    packed = bytes(module.compress(DATA))
    for bound in (100, 2000, 4096):
        lengths[name, bound] = bytes(module.decompress(packed, output_len=bound))
lengths["lz4 block", 4096] = bytes(cramjam.lz4.decompress_block(block, output_len=4096))
raw = bytes(cramjam.snappy.compress_raw(DATA))
lengths["snappy raw", 4096] = bytes(cramjam.snappy.decompress_raw(raw, output_len=4096))
lengths["lz4 package", 4096] = lz4.block.decompress(block, uncompressed_size=4096)
unpack = zstandard.ZstdDecompressor().decompress
lengths["zstandard package", 4096] = unpack(frame, max_output_size=4096)
longer = {("zstd", 4096), ("zlib", 4096), ("lz4 block", 4096)}
for key, data in lengths.items():
    print(*key, "->", len(data))
    assert data == (DATA.ljust(4096, b"\0") if key in longer else DATA), "it has changed"
EOT
