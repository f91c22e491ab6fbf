"""
Many scenarios out of one boot: a guest is saved when it is up, and each goes on from there.

Owns: the order of steps for a series. Must not know: what the scenarios do.
Why: under emulation a guest needs a minute to come up and to say what it is like, and
seconds to die.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path

from . import scenarios
from .build import Builder, Prepared, work_folder
from .run import BuildError
from .scenario import Scenario
from .wish import Wish


def _resumed(
    prepared: Prepared, state: Path, said: str, work: Path, scenario: Scenario
) -> Prepared:
    """Return a guest that goes on from a saved state with a scenario's script on its disk."""
    disks = {}
    for name, disk in prepared.guest.disks.items():
        disks[name] = work / disk.name
        with disks[name].open("wb") as file:
            if name == scenarios.BEGIN_DISK:
                file.write(scenarios.continuation(scenario))
            file.truncate(disk.stat().st_size)
    guest = dataclasses.replace(
        prepared.guest, work=work, disks=disks, saved=state, said=said, ram_file=None
    )
    return dataclasses.replace(prepared, guest=guest)


def build(builder: Builder, wishes: Sequence[Wish], out: Path) -> Iterator[tuple[str, list[Path]]]:
    """
    Build the dumps of several scenarios of one kernel.

    :param wishes: They differ in their scenarios only.
    :param out: Each dump is called ``OUT-SCENARIO-HOW.vmcore``.
    :return: Name of a scenario and its dumps; a scenario that fails is told to the
        builder's ``say`` and has none.
    :raises BuildError: the guest did not come up, or one cannot serve them all.
    """
    played = [wish.check() for wish in wishes]
    if any(wish.by_kdump or "ram-file" in wish.hows for wish in wishes):
        raise BuildError("series: only what QEMU writes itself, and no ram-file")
    wish = wishes[0]
    kernel = builder.kernel(wish)
    with work_folder(out) as work:
        prepared = builder.prepare(wish, kernel, scenarios.common(played), (), work)
        state = work / "state"
        with builder.alone(), prepared.guest as guest:
            guest.wait_for(f"@@@ ask {scenarios.BEGIN}", wish.timeout, but="end Kernel panic")
            guest.save(state)
            said = guest.console()
        for each, scenario in zip(wishes, played, strict=True):
            own = out.with_name(f"{out.name}-{scenario.name}")
            with work_folder(own) as folder:
                resumed = _resumed(prepared, state, said, folder, scenario)
                try:
                    with builder.alone(), resumed.guest as guest:
                        guest.go_on()
                        yield scenario.name, builder.finish(each, resumed, scenario, own)
                except BuildError as error:
                    builder.say(f"{scenario.name}: {error}")
                    yield scenario.name, []
