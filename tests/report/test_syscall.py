"""The system call that a task is in: as many arguments as it takes, by their names."""

from __future__ import annotations

import drgn
import pytest

import btfdbg
from btfdbg.report.look import Look
from btfdbg.report.syscall import Syscall, _parameters, syscall_of
from tests.conftest import bundled_dumps

DUMPS = {path.name.partition(".vmcore")[0]: path for path, _ in bundled_dumps()}

# Linux's own prototypes (include/linux/syscalls.h).
PARAMETERS = {
    "accept": ("fd", "upeer_sockaddr", "upeer_addrlen"),
    "accept4": ("fd", "upeer_sockaddr", "upeer_addrlen", "flags"),
    "read": ("fd", "buf", "count"),
    "write": ("fd", "buf", "count"),
    "openat": ("dfd", "filename", "flags", "mode"),
    "mkdir": ("pathname", "mode"),
    "mkdirat": ("dfd", "pathname", "mode"),
    "ppoll": ("ufds", "nfds", "tsp", "sigmask", "sigsetsize"),
    "rt_sigtimedwait": ("uthese", "uinfo", "uts", "sigsetsize"),
    "reboot": ("magic1", "magic2", "cmd", "arg"),
    "nanosleep": ("rqtp", "rmtp"),
    "clock_nanosleep": ("which_clock", "flags", "rqtp", "rmtp"),
    "wait4": ("upid", "stat_addr", "options", "ru"),
}


@pytest.fixture(scope="module", params=sorted(DUMPS))
def look(request: pytest.FixtureRequest) -> Look:
    return Look(btfdbg.session(btfdbg.program_from_core_dump(DUMPS[request.param])))


def test_a_call_of_a_task_has_the_arguments_of_its_prototype(look: Look) -> None:
    found = [call for task in look.tasks if (call := syscall_of(look, task)) and call.args]
    assert found
    for call in found:
        assert call.counted
        assert len(call.args) == len(PARAMETERS[call.name])
        # Names lie in constants, of which a small dump may lack pages.
        assert call.names in ((), PARAMETERS[call.name])


def test_a_call_of_the_table_has_its_parameters_whatever_is_asked(look: Look) -> None:
    found = _parameters(look, "futex", None)
    assert found is not None
    assert len(found) == 6
    assert _parameters(look, "getpid", None) == ()


def test_metadata_of_another_number_are_not_those_of_the_call(look: Look) -> None:
    assert _parameters(look, "write", 1 << 20) is None


def test_a_call_that_no_table_has_is_not_counted(look: Look) -> None:
    assert _parameters(look, "no_such_call", None) is None


def test_more_arguments_than_there_are_registers_are_not_believed(
    look: Look, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "__syscall_meta__write"
    meta = look.session.lookup_symbols(name)[0]
    fields = drgn.Object(look.prog, "struct syscall_metadata", address=meta.address).read_()
    made = drgn.Object(look.prog, fields.type_, {"nb_args": 7, "syscall_nr": -1})
    monkeypatch.setattr("btfdbg.report.syscall.drgn.Object", lambda *args, **kwargs: made)
    assert _parameters(look, "write", None) is None


def test_a_call_is_written_with_names_or_without() -> None:
    assert str(Syscall("write", (1, 32), names=("fd", "buf"))) == "write(fd=0x1, buf=0x20)"
    assert str(Syscall("write", (1, 32))) == "write(0x1, 0x20)"
    assert str(Syscall("getpid")) == "getpid()"
    assert str(Syscall("x", (1, 2, 3, 4, 5, 6), counted=False)).endswith(
        "of which it may take fewer"
    )
