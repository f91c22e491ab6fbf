"""BTF as JSON, out and in."""

from __future__ import annotations

import json

import pytest

from btfdbg.btf.text.assemble import assemble, parse
from btfdbg.btf.text.jsondump import dump_json, load_json
from btfdbg.btf.text.rawtext import dumps
from btfdbg.errors import BtfFormatError
from tests.btf.samples import EVERY_KIND, INT, SPLIT
from tests.btf.test_rawtext import ODD


@pytest.mark.parametrize("text", [EVERY_KIND, *(INT + t for t in ODD.values())],
                         ids=["every kind", *ODD])  # fmt: skip
def test_json_is_read_back_to_the_same_bytes(text: str) -> None:
    btf = parse(text)
    assert load_json("".join(dump_json(btf))) == bytes(btf.raw)


@pytest.mark.parametrize(
    "head", [".header byteorder=big", ".header hdr_len=32 version=2 flags=0x1", ".layout"]
)
def test_header_is_kept(head: str) -> None:
    data = assemble(f"{head}\n{EVERY_KIND}")
    from btfdbg.btf import Btf

    assert load_json("".join(dump_json(Btf.parse(data)))) == data


def test_split_is_read_back_on_top_of_its_base() -> None:
    base = parse(EVERY_KIND)
    split = parse(SPLIT, base)
    document = "".join(dump_json(split))
    assert load_json(document, base) == bytes(split.raw)
    with pytest.raises(BtfFormatError):
        load_json(document)


def test_u02_keys_are_bpftools() -> None:
    document = json.loads("".join(dump_json(parse(EVERY_KIND))))
    types = {t["id"]: t for t in document["types"]}
    assert types[1] == {
        "id": 1, "kind": "INT", "name": "int", "size": 4,
        "bits_offset": 0, "nr_bits": 32, "encoding": "SIGNED",
    }  # fmt: skip
    assert types[4] == {"id": 4, "kind": "PTR", "name": "(anon)", "type_id": 2}
    assert types[6]["members"][2] == {
        "name": "low", "type_id": 1, "bits_offset": 128, "bitfield_size": 3,
    }  # fmt: skip
    assert types[17]["params"][1] == {"name": "(anon)", "type_id": 0}
    assert types[21]["linkage"] == "static"
    assert types[23]["vars"][0] == {"type_id": 21, "offset": 0, "size": 4}
    assert types[29]["values"][1] == {"name": "HUGE", "val": (1 << 64) - 1}


def test_bpftools_own_json_is_read() -> None:
    # No header, and nothing that bpftool does not print.
    text = json.dumps(
        {"types": [{"id": 1, "kind": "INT", "name": "int", "size": 4, "bits_offset": 0,
                    "nr_bits": 32, "encoding": "SIGNED"},
                   {"id": 2, "kind": "PTR", "name": "(anon)", "type_id": 1}]}
    )  # fmt: skip
    assert load_json(text) == assemble(INT + "[2] PTR '(anon)' type_id=1\n")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"types": 1}',
        '{"types": [1]}',
        '{"types": [{"id": 1, "kind": "PTR", "name": 5, "type_id": 0}]}',
        '{"types": [{"id": 1, "kind": "PTR", "name": "a\\nb", "type_id": 0}]}',
        '{"types": [{"id": 1, "kind": "PTR", "name": "a", "type_id": [0]}]}',
        '{"types": [{"id": 1, "kind": "STRUCT", "name": "a", "size": 0, "members": 1}]}',
        '{"types": [{"id": 1, "kind": "STRUCT", "name": "a", "size": 0, "members": [1]}]}',
        '{"types": [{"id": 1, "kind": "PTR", "name": "a", "type_id": "0 kflag=1"}]}',
        '{"types": [{"id": 1, "kind": ["PTR"], "name": "a", "type_id": 0}]}',
        '{"header": 1, "types": []}',
        "[" * 100000,
    ],
)
def test_other_json_is_refused(text: str) -> None:
    with pytest.raises(BtfFormatError):
        load_json(text)


def test_text_of_json_equals_text_of_btf() -> None:
    btf = parse(EVERY_KIND)
    assert dumps(parse(dumps(btf))) == EVERY_KIND
