"""A real dump whose every name says something to the terminal.

Owns the payloads and the places: whatever of a dump is a name or a line that somebody
chose (a process, a module's author, who mounts, who sends a packet). They are written
over the dump's own with memory segments; nothing else of it changes.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable
from pathlib import Path

import drgn
from drgn import Object

from btfdbg.program.attach import register
from btfdbg.program.session import Session
from btfdbg.vmcore import open_core

# Clear the screen, set the title, fill the clipboard, ask for an answer, delete what
# stands before, C1 in both spellings, right-to-left, a byte that is no UTF-8.
PAYLOADS = (
    b"\x1b[2J\x1b[1;1Hx", b"\x1b]0;title\x07", b"\x1b]52;c;YQ==\x07", b"\x1b[c\x05\x0e",
    b"ok\r\x08\x08\x7f\x0b\x0c", b"\xc2\x9b2J\xc2\x90q", b"\xe2\x80\xaelive\xe2\x81\xa6",
    b"\x9b2J\xff\x84",
)  # fmt: skip

# Not the one under test: what ECMA-48, DEL and Unicode's directional marks make dangerous.
DANGEROUS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")


class Planted:
    """
    The dump, attached.

    :ivar places: What was overwritten, in words.
    """

    def __init__(self, path: Path) -> None:
        prog, info = open_core(path)
        register(prog, None, info).ensure_modules()
        self.prog = prog
        self.places: list[str] = []
        self._writes: dict[int, bytes] = {}
        self._payloads = itertools.cycle(PAYLOADS)
        for plant in (
            self._tasks, self._modules, self._mounts, self._log, self._slabs, self._uts,
            self._interfaces, self._irqs, self._command_line, self._files,
        ):  # fmt: skip
            try:
                plant()
            except (LookupError, AttributeError, drgn.FaultError):
                self.places.append(f"{plant.__name__} ended early")
        # A second time, for drgn has seen the first one's names.
        self.prog, info = open_core(path)
        for address, data in self._writes.items():
            self.prog.add_memory_segment(address, len(data), _from(data))
        self.session: Session = register(self.prog, None, info)
        self.session.ensure_modules()

    def put(self, what: str, address: int, room: int) -> None:
        """Write a payload and its NUL, if there is room."""
        if room >= 4:
            self._write(what, address, next(self._payloads)[: room - 1] + b"\0")

    def text(self, what: str, pointer: Object) -> None:
        """Overwrite a string, however short."""
        address = pointer.value_()
        if address:
            room = len(self.prog.read_c_string(address)) + 1
            self.put(what, address, room)

    def _tasks(self) -> None:
        from drgn.helpers.linux.pid import for_each_task

        for task in (self.prog["init_task"], *for_each_task(self.prog)):
            self.put("comm", task.comm.address_, 16)

    def _modules(self) -> None:
        from drgn.helpers.linux.module import for_each_module

        for module in itertools.islice(for_each_module(self.prog), 6):
            self.put("module", module.name.address_, 16)

    def _mounts(self) -> None:
        from drgn.helpers.linux.fs import for_each_mount

        for mount in list(for_each_mount(self.prog)):
            self.text("device", mount.mnt_devname)
            self.text("filesystem", mount.mnt.mnt_sb.s_type.name)
            self.put("mountpoint", mount.mnt_mountpoint.d_iname.address_, 16)
            self.put("superblock", mount.mnt.mnt_sb.s_id.address_, 16)

    def _log(self) -> None:
        data = self.prog["prb"].text_data_ring
        start, size = data.data.value_(), 1 << data.size_bits.value_()
        ring = self.prog.read(start, size)
        for match in itertools.islice(re.finditer(rb"[ -~]{40,}", ring), 0, None, 3):
            payload = next(self._payloads)
            self._write("log", start + match.start() + 4, payload)

    def _write(self, what: str, address: int, data: bytes) -> None:
        self.prog.read(address, len(data))  # it is in the dump
        self._writes[address] = data
        self.places.append(what)

    def _slabs(self) -> None:
        from drgn.helpers.linux.slab import for_each_slab_cache

        for cache in itertools.islice(for_each_slab_cache(self.prog), 30):
            self.text("slab", cache.name)

    def _uts(self) -> None:
        name = self.prog["init_uts_ns"].name
        for member in ("nodename", "version", "domainname"):
            self.put(member, getattr(name, member).address_, 60)

    def _interfaces(self) -> None:
        from drgn.helpers.linux.net import for_each_netdev

        for device in for_each_netdev(self.prog["init_net"].address_of_()):
            self.put("interface", device.name.address_, 16)

    def _irqs(self) -> None:
        from drgn.helpers.linux.irq import for_each_irq_desc

        for _, descriptor in for_each_irq_desc(self.prog):
            if descriptor.action:
                self.text("irq", descriptor.action.name)

    def _command_line(self) -> None:
        self.text("command line", self.prog["saved_command_line"])

    def _files(self) -> None:
        from drgn.helpers.linux.fs import for_each_file
        from drgn.helpers.linux.pid import find_task

        for _, file in for_each_file(find_task(self.prog, 1)):
            self.put("file", file.f_path.dentry.d_iname.address_, 32)


def _from(data: bytes) -> Callable[[int, int, int, bool], bytes]:
    def read(address: int, count: int, offset: int, physical: bool) -> bytes:
        return data[offset : offset + count]

    return read


def dangerous(text: str) -> list[str]:
    """Lines of a text that would do something to a terminal."""
    return [line for line in text.split("\n") if DANGEROUS.search(line)]
