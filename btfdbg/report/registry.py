"""The checks of a report: what one is, and the registry that a decorated function enters.

Owns the registry. ``checks/`` fills it, ``whole`` runs what is in it.
"""

from __future__ import annotations

from btfdbg.lazy_dataclass import dataclass

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from btfdbg.report.happened import DecidedLook
    from btfdbg.report.parts import Item


@dataclass(frozen=True, slots=True)
class Check:
    """
    One check of a report.

    :ivar needs: Types and symbols without which it cannot run, ``struct request_queue``
        or ``slab_caches``; what is missing is said instead.
    """

    id: str
    title: str
    run: Callable[[DecidedLook], Iterable[Item]]
    needs: tuple[str, ...] = ()
    more: tuple[str, ...] = ()
    order: int = 100


CHECKS: dict[str, Check] = {}
"""All checks by id: ours, and what a user's file or package registered."""


def check(
    id: str,
    title: str,
    *,
    needs: tuple[str, ...] = (),
    more: tuple[str, ...] = (),
    order: int = 100,
) -> Callable[[Callable[[DecidedLook], Iterable[Item]]], Callable[[DecidedLook], Iterable[Item]]]:
    """
    Make a function a check of every report.

    :param needs: See :class:`Check`.
    :param more: Commands of the prompt that show more.
    :param order: Where its section stands; ours are at 10, 20, ….

    >>> @check("zombies", "Zombies", needs=("struct task_struct",), more=("ps",))
    ... def zombies(look):
    ...     yield Line(f"{sum(1 for task in look.tasks if task.exit_state)} zombies")
    """

    def register(
        run: Callable[[DecidedLook], Iterable[Item]],
    ) -> Callable[[DecidedLook], Iterable[Item]]:
        CHECKS[id] = Check(id, title, run, needs, more, order)
        return run

    return register
