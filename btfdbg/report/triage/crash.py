"""One crash, as far as triage is concerned. Owns the value; ``crash_of`` makes it."""

from __future__ import annotations

from btfdbg.lazy_dataclass import dataclass

# A plain name, which type checkers take for typing's.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from btfdbg.report.blame.signature import Signature


@dataclass(frozen=True, slots=True)
class Crash:
    """
    One crash, as far as triage is concerned.

    :attr path: Where it was read from.
    :attr kind: A key of :data:`btfdbg.report.kinds.KINDS`.
    :attr signature: What it is called.
    :attr verdict: One sentence.
    :attr release: ``uname -r``.
    :attr host: Name of the machine, empty if unknown.
    :attr model: Of the machine, empty if unknown.
    :attr when: Seconds since 1970, None if unknown.
    :attr identity: Equal for two dumps or logs of one crash, empty if unknown.
    :attr corrupted: Its report cannot be relied on.
    :attr source: ``dump`` or ``log``; of one crash's files a dump says more.
    """

    path: str
    kind: str
    signature: Signature
    verdict: str = ""
    release: str = ""
    host: str = ""
    model: str = ""
    when: float | None = None
    identity: str = ""
    corrupted: bool = False
    source: str = "log"
