"""Scenarios, machines and, where QEMU and a network exist, one real dump."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from corefiles import initramfs, kbuild, kdump, manifest
from corefiles.build import Builder
from corefiles.kernels import FLAVOURS, Kernel, flavour_name
from corefiles.machines import MACHINES
from corefiles.run import BuildError
from corefiles.scenarios import MARKERS, SCENARIOS, script
from corefiles.sources import machine_mirror
from corefiles.wish import HOWS, Wish


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
