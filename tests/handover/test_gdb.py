"""``btfdbg gdbserver``: a client gets memory, registers and threads, and can do no harm."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import threading
from pathlib import Path

import drgn
import pytest
from drgn.helpers.linux.cpumask import for_each_present_cpu
from drgn.helpers.linux.mm import phys_to_virt
from drgn.helpers.linux.pid import find_task
from hypothesis import given, settings
from hypothesis import strategies as st

import btfdbg
from btfdbg.handover.gdb.packets import MAX_PACKET, Connection, checksum, escape, unescape
from btfdbg.handover.gdb.server import Stub, _Socket
from btfdbg.handover.gdb.threads import IDLE, Threads
from btfdbg.program.session import Session
from tests.conftest import bundled_dumps


@pytest.fixture(scope="module")
def stub(whole: Session) -> Stub:
    return Stub(whole)


class Client:
    """The least that a client needs."""

    def __init__(self, stub: Stub) -> None:
        self.socket, server = socket.socketpair()
        self.socket.settimeout(60)

        def serve() -> None:
            with server:
                try:
                    stub.serve(Connection(_Socket(server)))
                except OSError:
                    pass

        self.thread = threading.Thread(target=serve)
        self.thread.start()

    def ask(self, text: bytes) -> bytes:
        self.socket.sendall(b"$" + text + b"#" + checksum(text))
        return self.answer()

    def answer(self) -> bytes:
        data = b""
        while b"#" not in data or len(data) < data.index(b"#") + 3:
            data += self.socket.recv(65536)
        start, end = data.index(b"$"), data.index(b"#")
        try:
            self.socket.sendall(b"+")
        except BrokenPipeError:
            pass  # it answered D, and left
        return unescape(data[start + 1 : end])

    def close(self) -> None:
        self.socket.close()
        self.thread.join(60)
        assert not self.thread.is_alive()


def test_a_client_reads_memory_registers_and_threads(stub: Stub, whole: Session) -> None:
    client = Client(stub)
    assert b"qXfer:threads:read+" in client.ask(b"qSupported:multiprocess+")
    assert client.ask(b"?").startswith(b"T05thread:")
    sym = whole.lookup_symbols("linux_banner")[0]
    text = bytes.fromhex(client.ask(b"m%x,e" % sym.address).decode())
    assert text == b"Linux version "
    found = client.ask(b"qfThreadInfo")[1:].split(b",")
    assert len(set(found)) == len(found) > 10
    label = bytes.fromhex(client.ask(b"qThreadExtraInfo,1").decode())
    assert label == find_task(whole.prog, 1).comm.string_()
    assert client.ask(b"Hg1") == b"OK"
    trace = whole.prog.stack_trace(1)
    registers = client.ask(b"g")
    rsp = registers[16 * 7 : 16 * 8]
    assert int.from_bytes(bytes.fromhex(rsp.decode()), "little") == trace[0].sp
    assert registers[:16] == b"x" * 16  # rax of a task that sleeps is not known
    assert client.ask(b"qXfer:threads:read::0,7f").startswith(b"m<?xml")
    assert b"i386:x86-64" in client.ask(b"qXfer:features:read:target.xml:0,fff")
    assert client.ask(b"D") == b"OK"
    client.close()


@pytest.mark.parametrize("dump", [path for path, _ in bundled_dumps()], ids=lambda path: path.stem)
def test_the_idle_task_of_a_cpu_that_panic_stopped_is_a_thread(dump: Path) -> None:
    prog = btfdbg.program_from_core_dump(dump)
    btfdbg.session(prog)
    cpus = set(for_each_present_cpu(prog))
    assert cpus == {id - IDLE for id in Threads(prog).by_id if id >= IDLE}
    assert len(cpus) > 1


@pytest.mark.parametrize(
    "packet",
    [
        b"M1000,1:00", b"X1000,1:\0", b"G00", b"P0=00", b"c", b"s", b"C05", b"vCont;c",
        b"mzz,4", b"m", b"m-1,4", b"mffffffffffffffff,ffffffff", b"m0,4", b"Hgffffff", b"Tzz",
        b"p999", b"qXfer:threads:read::-1,5", b"qXfer:threads:read::5", b"qThreadExtraInfo,",
    ],
)  # fmt: skip
def test_what_would_write_run_or_is_nonsense_gets_an_error(stub: Stub, packet: bytes) -> None:
    answer = stub.answer(packet)
    assert answer[:1] == b"E"
    assert len(answer) == 3


@pytest.mark.parametrize("packet", [b"vMustReplyEmpty", b"Z0,1000,1", b"\xff\xfe", b"qRcmd,00"])
def test_what_is_not_known_gets_the_empty_answer(stub: Stub, packet: bytes) -> None:
    assert stub.answer(packet) == b""


def test_a_register_that_no_dump_has_is_unavailable_and_no_error(stub: Stub) -> None:
    # gdb asks for st0 when it shows a frame, and ends there if that is an error.
    assert stub.answer(b"p18") == b"xx"
    assert stub.answer(b"p10") == stub.answer(b"g")[16 * 16 : 17 * 16]


@given(st.binary(max_size=64))
@settings(max_examples=200, deadline=None)
def test_any_packet_has_a_bounded_answer(data: bytes) -> None:
    answer = _STUB[0].answer(data)
    assert len(answer) <= MAX_PACKET


_STUB: list[Stub] = []


@pytest.fixture(autouse=True, scope="module")
def _one_stub(stub: Stub) -> None:
    _STUB[:] = [stub]


@given(st.binary(max_size=80))
def test_unescape_reverses_escape(data: bytes) -> None:
    assert unescape(escape(data)) == data


def test_a_client_that_sends_garbage_leaves_the_server_alive(stub: Stub) -> None:
    for data in (b"\0" * 5000, b"$" + b"a" * (MAX_PACKET + 5000), b"$m0,4#00", b"-+-+", b"$#"):
        client = Client(stub)
        client.socket.sendall(data)
        client.close()
    client = Client(stub)
    assert client.ask(b"qAttached") == b"1"
    client.close()


def test_a_packet_sent_again_before_it_was_taken_is_answered_once(stub: Stub) -> None:
    client = Client(stub)
    again = b"$qAttached#" + checksum(b"qAttached")
    client.socket.sendall(again * 3)
    assert client.answer() == b"1"
    assert client.ask(b"qC").startswith(b"QC")
    client.close()


def test_a_search_goes_round_what_the_dump_lacks(stub: Stub, whole: Session) -> None:
    banner = whole.lookup_symbols("linux_banner")[0].address
    near = b"qSearch:memory:%x;%x;Linux version" % (banner - 0x2000, 0x4000)
    assert stub.answer(near) == b"1,%x" % banner
    base = phys_to_virt(whole.prog, 0).value_()
    with pytest.raises(drgn.FaultError):
        whole.prog.read(base, 1)
    far = stub.answer(b"qSearch:memory:%x;%x;Linux version" % (base, 1 << 32))
    place = int(far.removeprefix(b"1,"), 16)
    assert base < place < base + (1 << 32)
    assert whole.prog.read(place, 13) == b"Linux version"
    # Any byte may be in a pattern, and stands for itself.
    assert stub.answer(b"qSearch:memory:%x;100;L.nux;*" % banner) == b"0"
    for wrong in (b"", b"0;0;x", b"1;8;", b"-1;8;x", b"fffffffffffffff8;9;x", b"0;8"):
        assert stub.answer(b"qSearch:memory:" + wrong) == b"E16"


@pytest.mark.oracle
def test_gdb_itself_shows_threads_and_a_full_backtrace(x86_core: Path, tmp_path: Path) -> None:
    gdb = shutil.which("gdb")
    if gdb is None:
        pytest.skip("no gdb")
    run = [sys.executable, "-m", "btfdbg.cli.main"]
    vmlinux = tmp_path / "vmlinux"
    subprocess.run(
        [*run, "export-vmlinux", "--runtime", str(x86_core), "-o", str(vmlinux)], check=True
    )
    done = subprocess.run(
        [
            gdb, "-nx", "-batch", str(vmlinux), "-ex", "set pagination off",
            "-ex", f"target remote | {' '.join(run)} gdbserver -q --stdio {x86_core}",
            "-ex", "info threads", "-ex", "thread find ^init$", "-ex", "p init_task.comm",
            "-ex", "bt",
        ],
        capture_output=True, text=True, check=False, env={**os.environ},
    )  # fmt: skip
    assert '"swapper/0' in done.stdout
    assert done.stdout.count("\n  ") > 10, done.stderr
    assert "#3 " in done.stdout
