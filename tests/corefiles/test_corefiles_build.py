"""Scenarios, machines and, where QEMU and a network exist, one real dump."""

from __future__ import annotations

import dataclasses
import re
import shutil
import socket
import subprocess
from pathlib import Path

import pytest

from corefiles import initramfs, kbuild, kdump, manifest
from corefiles.build import Builder
from corefiles.guest import Guest
from corefiles.kernels import FLAVOURS, Kernel, flavour_name
from corefiles.machines import MACHINES
from corefiles.run import BuildError
from corefiles.scenario import KINDS
from corefiles.scenarios import MARKERS, SCENARIOS, common, continuation, script
from corefiles.sources import machine_mirror
from corefiles.wish import HOWS, Wish

_FAULT = Path(kbuild.__file__).parent / "modules" / "fault"


@pytest.mark.parametrize("name", SCENARIOS)
def test_the_init_script_is_valid_shell(name: str) -> None:
    text = script(SCENARIOS[name], "kexec here\n")
    done = subprocess.run(["sh", "-n"], input=text, text=True, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert text.index("kexec here") < text.index("@@@ dying")


def test_the_crash_kernels_script_is_valid_shell() -> None:
    text = kdump.crash_init(list(kdump.VARIANTS))
    done = subprocess.run(["sh", "-n"], input=text, text=True, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "/dev/vda" in text
    assert "/dev/vdb" in text


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_scenario_says_what_it_is_the_truth_about(name: str) -> None:
    scenario = SCENARIOS[name]
    assert scenario.expect["kind"] in KINDS
    if scenario.own_module:
        functions = set(scenario.expect.get("panic_frames", []))
        functions |= set(scenario.expect.get("stuck_frames", []))
        functions |= {scenario.expect.get("guilty", {}).get("function", "cf_trigger")}
        sources = "".join(path.read_text() for path in _FAULT.glob("*.c"))
        for function in functions - {"sysrq_handle_crash"}:
            assert re.search(rf"\b{function}\(", sources), function


def test_every_word_that_the_module_is_asked_for_is_one_that_it_knows() -> None:
    known = set(
        re.findall(
            r'\{ "(\w+)", cf_\w+ \}|sysfs_streq\(value, "(\w+)"\)',
            "".join(path.read_text() for path in _FAULT.glob("*.c")),
        )
    )
    words = {first or second for first, second in known}
    asked = set()
    for scenario in SCENARIOS.values():
        asked |= set(
            re.findall(
                r"echo (\w+) >/sys/module/cf_fault/parameters/trigger",
                scenario.setup + scenario.trigger,
            )
        )
    assert asked
    assert asked <= words


@pytest.mark.parametrize("name", SCENARIOS)
def test_what_a_scenario_asks_qemu_for_is_in_its_shell(name: str) -> None:
    scenario = SCENARIOS[name]
    shell = scenario.setup + scenario.trigger
    assert re.findall(r"@@@ ask (\w+)", shell) == [ask.when for ask in scenario.asks]
    before = [ask for ask in scenario.asks if ask in scenario.asks_before_facts]
    assert before == list(scenario.asks_before_facts)


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_continuation_fits_its_disk_and_is_valid_shell(name: str) -> None:
    data = continuation(SCENARIOS[name])
    assert len(data) == 64 << 10
    done = subprocess.run(["sh", "-n"], input=data, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    for marker in MARKERS.values():
        assert marker.encode() not in data


def test_a_series_has_what_each_of_its_scenarios_needs() -> None:
    names = ["slow-disk", "busy", "null-deref", "snapshot"]
    shared = common([SCENARIOS[name] for name in names])
    assert shared.own_module
    assert shared.disk
    assert shared.own_program == "busy"
    assert shared.disks == ("spare", "begin")
    assert shared.memory == SCENARIOS["busy"].memory
    done = subprocess.run(
        ["sh", "-n"], input=script(shared), text=True, capture_output=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    "names", [("null-deref", "use-after-free"), ("busy", "threads"), ("bpf", "oom")]
)
def test_scenarios_that_need_other_guests_are_no_series(names: tuple[str, str]) -> None:
    with pytest.raises(BuildError, match="guests of their own"):
        common([SCENARIOS[name] for name in names])


@pytest.mark.parametrize(
    ("arch", "scenario", "how"),
    [("arm64", "divide", "qemu-elf"), ("amd64", "snapshot", "kdump-zlib")],
)
def test_what_cannot_come_about_is_refused(arch: str, scenario: str, how: str) -> None:
    with pytest.raises(BuildError, match=scenario):
        Wish("trixie", arch, scenario, (how,)).check()


def test_disks_are_found_by_their_serial_number() -> None:
    guest = Guest(
        MACHINES["amd64"], "max", Path("k"), Path("i"), "", Path("w"), 384,
        disks={"d0": Path("a"), "spare": Path("b")}, saved=Path("a state"),
    )  # fmt: skip
    words = guest.command()
    assert "virtio-blk-pci,drive=spare,serial=spare" in words
    assert words[words.index("-incoming") + 1] == "exec:cat 'a state'"
    assert guest.console() == ""


def test_a_copy_of_a_guest_shares_no_process_with_it(tmp_path: Path) -> None:
    guest = Guest(MACHINES["amd64"], "max", Path("k"), Path("i"), "", tmp_path, 384)
    guest._socket = socket.socket(socket.AF_UNIX)
    guest._input += b"{}"
    copy = dataclasses.replace(guest, said="before ")
    guest._socket.close()
    assert copy._socket is None
    assert copy._input == b""
    (tmp_path / "console.log").write_text("after")
    assert copy.console() == "before after"


def test_markers_are_never_whole_in_the_script() -> None:
    for scenario in SCENARIOS.values():
        for marker in MARKERS.values():
            assert marker not in script(scenario)


def test_every_architecture_is_complete() -> None:
    rows = (MACHINES, kbuild.CROSS, initramfs.TRIPLETS)
    assert [sorted(row) for row in rows] == [sorted(FLAVOURS)] * len(rows)


@pytest.mark.parametrize(
    ("arch", "flavour", "name"),
    [
        ("amd64", "cloud", "cloud-amd64"),
        ("amd64", "rt", "rt-amd64"),
        ("s390x", "cloud", "s390x"),
        ("arm64", "arm64-16k", "arm64-16k"),
    ],
)
def test_flavours_have_debians_names(arch: str, flavour: str, name: str) -> None:
    assert flavour_name(arch, flavour) == name


@pytest.mark.parametrize(("arch", "flavour"), [("vax", "full"), ("s390x", "rt")])
def test_an_unknown_flavour_is_an_error(arch: str, flavour: str) -> None:
    with pytest.raises(BuildError, match=arch):
        flavour_name(arch, flavour)


@pytest.mark.parametrize(
    ("release", "series"), [("6.1.0-56-cloud-amd64", (6, 1)), ("7.2.13+deb14-riscv64", (7, 2))]
)
def test_the_series_is_read_from_the_release(release: str, series: tuple[int, int]) -> None:
    kernel = Kernel("sid", "amd64", "x", release, (), Path(), Path())
    assert kernel.series == series


@pytest.mark.parametrize(
    "wish",
    [Wish("trixie", "amd64", "picnic", ("qemu-elf",)), Wish("trixie", "amd64", "oom", ("tape",))],
)
def test_an_unknown_wish_is_refused_before_anything_is_fetched(wish: Wish, tmp_path: Path) -> None:
    with pytest.raises(BuildError, match="not among"):
        Builder(tmp_path).build(wish, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_flattened_implies_the_zlib_dump_it_is_made_of() -> None:
    wish = Wish("trixie", "amd64", "oom", ("kdump-flattened",))
    assert wish.by_kdump == ["kdump-zlib"]
    assert "kdump-flattened" in HOWS


@pytest.mark.matrix
@pytest.mark.timeout(1500)
def test_a_dump_of_a_real_kernel_is_built(tmp_path: Path) -> None:
    if shutil.which(MACHINES["amd64"].program) is None:
        pytest.skip("qemu-system-x86_64 is not installed")
    try:
        machine_mirror()
        archive = Builder(tmp_path / "cache").archive("trixie", "amd64")
        archive.update()
    except BuildError as error:
        pytest.skip(f"no Debian archive: {error}")
    builder = Builder(tmp_path / "cache", lambda text: None)
    wish = Wish("trixie", "amd64", "sysrq-panic", ("qemu-elf",))
    (dump,) = builder.build(wish, tmp_path / "out" / "dump")
    assert dump.read_bytes()[:4] == b"\x7fELF"
    entry = manifest.read_entry(dump)
    facts = entry["facts"]
    assert len(entry["build_id"]) == 40
    assert (1, 0, "init") in {(task["pid"], task["ppid"], task["comm"]) for task in facts["tasks"]}
    assert "qemu_fw_cfg" in {module["name"] for module in facts["modules"]}
    assert facts["sysctl"]["osrelease"] == entry["release"]
    assert {symbol["name"] for symbol in facts["kallsyms"]} >= {"init_task", "_text", "modules"}
