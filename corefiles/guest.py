"""
A running guest: QEMU, its console and its monitor.

Owns: the QEMU process, waiting for words on the console, and the ways in which
QEMU itself writes memory to a file. Must not know: what the guest runs.
Facts: QEMU QMP reference, dump-guest-memory and pmemsave.
"""

from __future__ import annotations

import json
import re
import shlex
import socket
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

from .machines import Machine
from .run import BuildError
from .scenario import Ask


@dataclass
class Guest:
    """
    One QEMU process; a context manager that ends it.

    :ivar memory: MiB.
    """

    machine: Machine
    cpu: str
    kernel: Path
    initramfs: Path
    append: str
    work: Path
    memory: int
    cpus: int = 2
    vmcoreinfo: bool = True
    ram_file: Path | None = None
    """File to keep the guest's memory in."""
    disks: Mapping[str, Path] = field(default_factory=dict)
    """Name of a virtio disk, which is its serial number too, and its file."""
    saved: Path | None = None
    """State of a guest to go on from, as :meth:`save` wrote it."""
    said: str = ""
    """What the guest had said on its console when it was saved."""
    # Of the running process alone: a copy of a guest has none.
    _process: subprocess.Popen[bytes] | None = field(default=None, init=False)
    _socket: socket.socket | None = field(default=None, init=False)
    _input: bytearray = field(default_factory=bytearray, init=False)

    @property
    def console_log(self) -> Path:
        """File with all that the guest wrote on its console."""
        return self.work / "console.log"

    def console(self) -> str:
        """Return the console so far."""
        if not self.console_log.exists():
            return self.said
        return self.said + self.console_log.read_bytes().decode(errors="surrogateescape")

    def command(self) -> list[str]:
        """Return QEMU's command line."""
        m = self.machine
        words = [
            m.program, *m.machine, "-cpu", self.cpu, "-m", str(self.memory),
            "-smp", str(self.cpus), "-accel", "tcg", "-nodefaults", "-display", "none",
            "-no-shutdown", "-action", "panic=pause",
            "-kernel", str(self.kernel), "-initrd", str(self.initramfs), "-append", self.append,
            "-serial", f"file:{self.console_log}",
            "-qmp", f"unix:{self.monitor},server=on,wait=off",
            "-netdev", "user,id=n0,restrict=on", "-device", f"virtio-net-{m.bus},netdev=n0",
        ]  # fmt: skip
        if m.vmcoreinfo and self.vmcoreinfo:
            words += ["-device", "vmcoreinfo"]
        if self.ram_file is not None:
            backend = f"memory-backend-file,id=ram,size={self.memory}M,share=on"
            words += ["-object", f"{backend},mem-path={self.ram_file}"]
            words += ["-machine", "memory-backend=ram"]
        if self.saved is not None:
            words += ["-incoming", f"exec:cat {shlex.quote(str(self.saved))}"]
        for name, disk in self.disks.items():
            words += [
                "-drive", f"file={disk},if=none,id={name},format=raw,cache=unsafe",
                "-device", f"virtio-blk-{m.bus},drive={name},serial={name}",
            ]  # fmt: skip
        return words

    @property
    def monitor(self) -> Path:
        """UNIX socket on which QEMU speaks QMP, to one client at a time."""
        return self.work / "monitor"

    def __enter__(self) -> Guest:
        self.work.mkdir(parents=True, exist_ok=True)
        self.console_log.unlink(missing_ok=True)
        self.monitor.unlink(missing_ok=True)
        words = self.command()
        with (self.work / "qemu.log").open("wb") as log:
            try:
                self._process = subprocess.Popen(
                    words, stdin=subprocess.DEVNULL, stdout=log, stderr=log
                )
            except FileNotFoundError as error:
                raise BuildError(f"{words[0]}: not installed") from error
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._socket is not None:
            self._socket.close()
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        if self.ram_file is not None:
            self.ram_file.unlink(missing_ok=True)

    def _alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def wait_for(self, pattern: str, timeout: float, *, but: str | None = None) -> str:
        """
        Wait until the console shows something.

        :param pattern: Regular expression, searched in all that was written.
        :param but: Giving up at once when this shows instead.
        :param timeout: Seconds.
        :return: The console.
        :raises BuildError: it did not come; the message has the console's end.
        """
        end = time.monotonic() + timeout
        while True:
            text = self.console()
            if re.search(pattern, text):
                return text
            if (but and re.search(but, text)) or time.monotonic() > end or not self._alive():
                tail = "\n".join(text.splitlines()[-25:])
                log = (self.work / "qemu.log").read_text(errors="replace")[-2000:]
                raise BuildError(f"guest: {pattern!r} did not come; console ends:\n{tail}\n{log}")
            time.sleep(0.3)

    def wait_quiet(self, pattern: str, quiet: float, timeout: float) -> None:
        """
        Wait until the console shows something or stays as it is for some time.

        Not every architecture says that its panic is over.

        :param quiet: Seconds.
        :param timeout: Seconds after which it is enough in any case.
        """
        end = time.monotonic() + timeout
        size, since = -1, time.monotonic()
        while time.monotonic() < end:
            text = self.console()
            if re.search(pattern, text):
                return
            if len(text) != size:
                size, since = len(text), time.monotonic()
            elif time.monotonic() - since > quiet:
                return
            time.sleep(0.2)

    def _connect(self, monitor: socket.socket) -> None:
        """Connect to the monitor, which a QEMU just started may not have yet."""
        end = time.monotonic() + 30
        while True:
            try:
                monitor.connect(str(self.monitor))
            except OSError:
                if time.monotonic() > end or not self._alive():
                    log = (self.work / "qemu.log").read_text(errors="replace")[-2000:]
                    raise BuildError(f"QEMU: no monitor:\n{log}") from None
                time.sleep(0.2)
            else:
                return

    def _receive(self) -> dict[str, Any]:
        assert self._socket is not None
        while b"\n" not in self._input:
            chunk = self._socket.recv(65536)
            if not chunk:
                raise BuildError("QEMU: the monitor closed")
            self._input += chunk
        line, _, rest = bytes(self._input).partition(b"\n")
        self._input = bytearray(rest)
        answer: dict[str, Any] = json.loads(line)
        return answer

    def hang_up(self) -> None:
        """Leave the monitor, which talks to one at a time, to somebody else."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def qmp(self, execute: str, **arguments: object) -> Any:
        """
        Run one monitor command.

        :return: What it returned.
        :raises BuildError: QEMU refused it.
        """
        if self._socket is None:
            self._socket = socket.socket(socket.AF_UNIX)
            self._socket.settimeout(300)
            self._connect(self._socket)
            self._receive()
            self.qmp("qmp_capabilities")
        request: dict[str, object] = {"execute": execute}
        if arguments:
            request["arguments"] = arguments
        self._socket.sendall(json.dumps(request).encode() + b"\n")
        while True:
            answer = self._receive()
            if "return" in answer:
                return answer["return"]
            if "error" in answer:
                raise BuildError(f"QEMU: {execute}: {answer['error'].get('desc')}")

    def ask(self, ask: Ask) -> None:
        """
        Do what a scenario needs done from outside.

        :raises BuildError: QEMU refused it; the old monitor says so in words only.
        """
        answer = self.qmp(ask.command, **ask.arguments)
        if answer:
            raise BuildError(f"QEMU: {ask.when}: {answer}")

    def save(self, out: Path) -> None:
        """
        Stop the guest and write its whole state to a file.

        :raises BuildError: QEMU could not.
        """
        self.qmp("stop")
        self.qmp("migrate", uri=f"exec:cat >{shlex.quote(str(out))}")
        while (status := self.qmp("query-migrate").get("status")) != "completed":
            if status in ("failed", "cancelled"):
                raise BuildError(f"QEMU: saving the guest {status}")
            time.sleep(0.2)

    def go_on(self) -> None:
        """Let a guest that was saved go on, once its state is read."""
        while (status := self.qmp("query-status")["status"]) == "inmigrate":
            time.sleep(0.2)
        if status != "running":
            self.qmp("cont")

    def dump_formats(self) -> list[str]:
        """Return the formats that this QEMU's dump-guest-memory was built with."""
        formats: list[str] = self.qmp("query-dump-guest-memory-capability")["formats"]
        return formats

    def dump(self, out: Path, *, form: str = "elf", paging: bool = False) -> None:
        """
        Let QEMU write a dump.

        :param form: elf, kdump-zlib, kdump-lzo or kdump-snappy.
        :param paging: With virtual addresses, walked from the CPUs' page tables.
        """
        out.unlink(missing_ok=True)
        arguments: dict[str, object] = {"paging": paging, "protocol": f"file:{out}"}
        if form != "elf":
            arguments["format"] = form
        self.qmp("dump-guest-memory", **arguments)
        out.chmod(0o644)

    def save_memory(self, out: Path, start: int, size: int) -> None:
        """Let QEMU write a range of physical memory, in bytes, as it is."""
        out.unlink(missing_ok=True)
        self.qmp("pmemsave", val=start, size=size, filename=str(out))
        out.chmod(0o644)
