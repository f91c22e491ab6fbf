"""A Python for the guest: what of it goes aboard, and where."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from corefiles import python
from corefiles.archive import Archive
from corefiles.run import BuildError
from corefiles.sources import Mirror

MIRROR = Mirror("http://mirror.example/debian", None, "")


def test_packages_go_where_the_guests_python_looks_without_compiled_files(tmp_path: Path) -> None:
    folder = tmp_path / "pack"
    (folder / "part" / "__pycache__").mkdir(parents=True)
    (folder / "part" / "__pycache__" / "a.pyc").touch()
    (folder / "part" / "a.py").touch()
    (folder / "data.db").touch()
    found = python.packages([folder]).files
    place = "usr/lib/python3/dist-packages/pack"
    assert found == {
        f"{place}/data.db": folder / "data.db",
        f"{place}/part/a.py": folder / "part" / "a.py",
    }


def test_wheels_are_unpacked_where_the_guests_python_looks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def download(argv: list[object], **_: object) -> str:
        asked.extend(map(str, argv))
        folder = Path(asked[asked.index("-d") + 1])
        with zipfile.ZipFile(folder / "pack-1-py3-none-any.whl", "w") as wheel:
            wheel.writestr("pack/a.py", "x = 1")
        return ""

    monkeypatch.setattr(python, "run", download)
    archive = Archive("trixie", "amd64", tmp_path, MIRROR)
    found = python.wheels(archive, "3.13", ["pack==1"]).files
    assert list(found) == ["usr/lib/python3/dist-packages/pack/a.py"]
    assert found["usr/lib/python3/dist-packages/pack/a.py"].read_text() == "x = 1"
    assert asked[asked.index("--python-version") + 1] == "3.13"
    assert "manylinux_2_28_x86_64" in asked


def test_architecture_without_wheels_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match="riscv64: no wheels"):
        python.wheels(Archive("trixie", "riscv64", tmp_path, MIRROR), "3.13", ["pack"])
