"""All fuzz targets by name. BTF has its own, in ``tests.btf.fuzz``."""

from __future__ import annotations

from . import dumps, files, kallsyms, structures

TARGETS = {
    target.name: target
    for target in (*kallsyms.TARGETS, *dumps.TARGETS, *structures.TARGETS, *files.TARGETS)
}
