#!/bin/sh
# python-zstandard 0.25.0: decompress(data, max_output_size=4096) returns 8,192 bytes.
#   One would guess a bound. It is one only for a frame that does not state its content size; for
#   a frame that does (what one-shot compressors write) the argument is not looked at.
# Matters: a page of a zstd kdump must give exactly one block, and a reader of a damaged dump
#   wants to hear of it when a page descriptor points at another frame. Compare the size stated in
#   the frame (frame_content_size()) with the block's before, or the length after.
# Needs: python3, pip, network. Exits 1 when it has changed.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m pip install -q --no-compile --target "$folder/lib" zstandard==0.25.0
PYTHONPATH="$folder/lib" python3 - <<'EOT'
import zstandard

sized = zstandard.ZstdCompressor().compress(bytes(8192))
stream = zstandard.ZstdCompressor().compressobj()
unsized = stream.compress(bytes(8192)) + stream.flush()
decompressor = zstandard.ZstdDecompressor()
length = len(decompressor.decompress(sized, max_output_size=4096))
print("frame with a size:", length, "bytes")
assert length == 8192, "the argument is a bound now"
try:
    decompressor.decompress(unsized, max_output_size=4096)
except zstandard.ZstdError as error:
    print("frame without one:", error)
else:
    raise AssertionError("an unsized frame is not bounded any more")
EOT
