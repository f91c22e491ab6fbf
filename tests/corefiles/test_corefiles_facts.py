"""The guest's account of itself: printed by shell, parsed here, believed only when whole."""

from __future__ import annotations

import hashlib
import struct
import subprocess

import pytest

from corefiles import facts


def block(name: str, text: str) -> str:
    digest = hashlib.sha256(text.encode()).hexdigest()[:16]
    return f"@@@ begin {name}\n{text}@@@ end {name} {text.count(chr(10))} {digest}\n"


def stat_line(pid: int, comm: str, state: str, ppid: int, flags: int = 0) -> str:
    return f"{pid} ({comm}) {state} {ppid} 0 0 0 -1 {flags} 1 2 3\n"


def test_the_shell_and_the_parser_agree() -> None:
    probes = {"version": "echo 'it'\\''s up'; echo two", "uname": "echo Linux here"}
    # No dmesg: the test must not change the console of the machine it runs on.
    script = "dmesg() { :; }\n" + facts.SHELL.replace("/tmp/.fact", "$FACT") + facts.shell(probes)
    done = subprocess.run(
        ["sh", "-c", f"FACT=$(mktemp)\n{script}\nrm -f $FACT"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert facts.blocks(done.stdout) == {"version": ["it's up", "two"], "uname": ["Linux here"]}
    assert facts.parse(done.stdout.replace("\n", "\r\n"))["uname"] == "Linux here"


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text.replace("two\n", "two\n[ 1.0] kernel message\n"),
        lambda text: text.replace("two", "tw"),
        lambda text: text.replace("@@@ end x", "@@@ end y"),
        lambda text: text[: text.index("@@@ end")],
    ],
)
def test_a_damaged_block_is_not_believed(damage: object) -> None:
    text = block("x", "one\ntwo\n")
    assert facts.blocks(text) == {"x": ["one", "two"]}
    assert callable(damage)
    assert facts.blocks(damage(text)) == {}


def test_of_two_blocks_the_later_stays() -> None:
    assert facts.blocks(block("x", "1\n") + "noise\n" + block("x", "2\n")) == {"x": ["2"]}


def test_tasks_with_odd_names_are_read_and_the_observer_left_out() -> None:
    text = "observer 40\n" + stat_line(40, "cat", "R", 1) + stat_line(12, "a) S (b", "D", 3)
    assert facts.parse(block("tasks", text))["tasks"] == [
        {"pid": 12, "ppid": 3, "state": "D", "comm": "a) S (b", "name": "a) S (b", "kthread": False}
    ]


@pytest.mark.parametrize(
    ("name", "flags", "comm"),
    [
        ("kthreadd", 0x208040, "kthreadd"),
        ("rcu_tasks_rude_kthread", 0x208040, "rcu_tasks_rude_"),
        ("kworker/0:2-events_power_efficient", 0x4208060, "kworker/0:2"),
        ("kworker/u9:0+flush-254:0", 0x4208060, "kworker/u9:0"),
        ("nvme-reset-wq", 0x4208060, "nvme-reset-wq"),
        ("kworker/R-kvfree_rcu_reclaim", 0x4208060, "kworker/R-kvfre"),
    ],
)
def test_kernel_threads_have_the_name_that_the_kernel_stores(
    name: str, flags: int, comm: str
) -> None:
    (task,) = facts.parse(block("tasks", stat_line(2, name, "S", 0, flags)))["tasks"]
    assert (task["comm"], task["name"], task["kthread"]) == (comm, name, True)


def test_modules_mounts_and_numbers_are_structured() -> None:
    found = facts.parse(
        block(
            "modules", "llc 16384 2 bridge,stp, Live 0xffffffffc07db000\nxfs 1 0 - Live 0x0 (OE)\n"
        )
        + block("mounts", "34 1 0:28 / /mnt/b rw,relatime shared:1 - overlay ovl rw\n")
        + block("meminfo", "MemTotal:         345540 kB\nActive(anon):  7 kB\n")
        + block("btf", "vmlinux 12 abcd -\n")
        + block("kallsyms", "ffff0 D init_task\nffff8 d cf_left\t[cf_fault]\n")
    )
    assert found["modules"][0]["users"] == ["bridge", "stp"]
    assert found["modules"][1]["users"] == []
    assert found["mounts"][0] == {
        "id": 34,
        "parent": 1,
        "device": "0:28",
        "root": "/",
        "target": "/mnt/b",
        "type": "overlay",
        "source": "ovl",
    }
    assert found["meminfo"] == {"MemTotal": 345540, "Active(anon)": 7}
    assert found["btf"] == {"vmlinux": {"size": 12, "sha256": "abcd"}}
    assert found["kallsyms"][1] == {
        "name": "cf_left",
        "address": "ffff8",
        "type": "d",
        "module": "cf_fault",
    }


@pytest.mark.parametrize("order", ["<", ">"])
def test_the_build_id_is_found_in_notes_of_both_byte_orders(order: str) -> None:
    other = struct.pack(f"{order}3I", 6, 4, 0x100) + b"Linux\0\0\0" + b"\1\2\3\4"
    own = struct.pack(f"{order}3I", 4, 20, 3) + b"GNU\0" + bytes(range(20))
    text = (other + own).hex() + "\n"
    assert facts.parse(block("notes", text)) == {"build_id": bytes(range(20)).hex()}


def test_notes_without_a_build_id_give_none() -> None:
    assert facts.parse(block("notes", "ffffffffffffffffffffffff\n")) == {"build_id": ""}
