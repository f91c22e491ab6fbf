"""From text to log lines: time stamp, caller and message of each.

Owns the prefixes that consoles, dmesg, syslog, journald, pstore, netconsole and
/dev/kmsg put before a message. Knows no message.

Facts: kernel/printk/printk.c (print_prefix(), info_print_ext_header()); dmesg(1);
fs/pstore/platform.c (the header line of a dump).
"""

from __future__ import annotations

import re

from btfdbg.lazy_dataclass import dataclass
from btfdbg.lazy_pattern import pattern

MAX_LINE = 4096  # what is longer is cut: no message of the kernel is

_DATE = r"(?:[^\W\d]{3,5}\.? +\d{1,2} (?:\d{4} )?[\d:]{8}|\d{4}-\d\d-\d\d[T ]\d\d:)"
_PREFIX = pattern(
    # a mail that quotes, and grep's file and line before a logger's date
    rf"\s*(?:(?:> ?){{1,8}})?(?:(?:[\w./~-]{{1,200}}:)?\d{{1,9}}:(?={_DATE}))?"
    # /dev/kmsg and netconsole: level,sequence,microseconds,flags[,caller=T1];
    r"(?:(?:\d+\.\d+[\w.+~-]{0,60},)?\d{1,3},\d+,(?P<micro>\d{1,18}),[^,;\s]*(?:,caller=(?P<kcaller>[TC]\d+))?[^;\s]*;)?"
    # syslog and journald
    r"(?:(?:<\d{1,3}>(?:\d )?)?(?:[^\W\d]{3,5}\.? +\d{1,2} (?:\d{4} )?[\d:.]{8,15}"
    # the last two are journalctl -o short-full and short-unix
    r"|\d{4}-\d\d-\d\dT\S+|[A-Z][a-z]{2} \d{4}-\d\d-\d\d [\d:.]{8,15} [\w+-]{1,9}|\d{9,11}\.\d{6})"
    r" (?:(?P<host>\S+) )?(?:\w+\.\w+ )?(?:kernel|vmunix)(?:\[\d+\])?"
    r"(?:: ?| - - (?:- ?|\[\w[^\]]{0,200}\] ?)))?"
    # logread of OpenWrt
    r"(?:[A-Z][a-z]{2} [A-Z][a-z]{2} [ \d]\d [\d:]{8} \d{4} \w+\.\w+ kernel: ?)?"
    # what loggers of consoles put before each line
    r"(?:\[?\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d{1,9})?(?:Z|[+-]\d\d:?\d\d)?\]? +(?=[\[<]))?"
    # dmesg -x
    r"(?:[a-z]+ *:[a-z]+ *: ?)?"
    r"(?:<\d{1,3}>)?"
    # seconds, with the time since the line before (dmesg -d), or only that (dmesg -H); the
    # date of dmesg -T, of crash's log -T and of --time-format=iso
    r"(?:\[ *(?P<seconds>\d{1,12}\.\d{0,9})(?:[@,]\d+)?(?: <[ \d.]{1,20}>)?\] ?"
    r"|\[(?: *\+\d{1,9}\.\d{1,9}|[A-Z][a-z]{2} ?\d{1,2} \d\d:\d\d)\] ?"
    r"|\[[A-Z][a-z]{2} [A-Z][a-z]{2} [ \d]\d [\d:]{8} (?:[A-Z]{2,5} )?\d{4}\] "
    r"|\d{4}-\d\d-\d\dT[\d:,.+-]+ )?"
    # journalctl -o short-monotonic
    r"(?:(?:(?P<host2>[\w.-]+) )?kernel: ?)?"
    r"(?:\[ *(?P<caller>[TC]\d+)(?:@C\d+)?\] ?)?"
    # what some vendors' kernels add: [c3], c3 123 (comm), (0)[123:comm] and [3: comm: 123]
    r"(?:\[[cC]\d+\] ?|[cC]\d+ +\d+ +\([^)]{1,16}\) ?"
    r"| *-?\(\d\)\[\d+:[^\]]{1,20}\] ?| *[A-Z]?\[\d: *[^\]]{1,20}: +\d+\] ?)?"
    r"(?:<\d>)?"
)
# The kernel's own stamp after whatever the tool put first that recorded the console.
_LATE = pattern(r".{0,80}?[\s:>|\])A-Z'\"+](?=\[ *\d{1,12}\.\d{6}[\],])")
_ESCAPES = r"\x1b\[[0-9;]*[A-Za-z]"
_CONTROL = r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]"


@dataclass(frozen=True, slots=True)
class Line:
    """
    One line of a log.

    ``number`` counts from 1; ``seconds`` is None without a time stamp; ``caller`` is
    ``T123``, ``C1`` or empty; ``text`` is the message, leading blanks kept; ``host`` is
    the machine's name where syslog put it before the message.
    """

    number: int
    seconds: float | None
    caller: str
    text: str
    host: str = ""


def parse_line(raw: str, number: int) -> Line:
    """
    Take a line's prefixes off.

    >>> parse_line("<4>[   12.5][  T7] BUG: x", 1)
    Line(number=1, seconds=12.5, caller='T7', text='BUG: x', host='')
    """
    if len(raw) > MAX_LINE:
        raw = raw[:MAX_LINE]
    raw = raw.rstrip("\r\n\0")
    if "&lt;" in raw or "&gt;" in raw:  # a page of a bug tracker
        raw = raw.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
    if raw.startswith("- {") and raw.endswith(("'}", '"}')):  # LAVA's list of lines
        raw = raw[:-2]
    if "\x1b" in raw:
        raw = re.sub(_ESCAPES, "", raw)
    match = _PREFIX.match(raw)
    if "[" in raw[:90] and (match is None or not match["seconds"]):
        late = _LATE.match(raw)
        if late is not None:
            raw = raw[late.end() :]
            match = _PREFIX.match(raw)
    assert match is not None  # every part is optional
    seconds: float | None = None
    if match["seconds"]:
        seconds = float(match["seconds"])
    elif match["micro"]:
        seconds = int(match["micro"]) / 1e6
    end = match.end() if match.end() > len(raw) - len(raw.lstrip()) else 0
    return Line(
        number,
        seconds,
        match["caller"] or match["kcaller"] or "",
        raw[end:],
        match["host"] or match["host2"] or "",
    )


def printable(text: str) -> str:
    """
    Escape what a terminal would obey, as the kernel's own console does.

    >>> printable("a\\x1b[2Jb")
    'a\\\\x1b[2Jb'
    """
    if text.isprintable():
        return text
    return re.sub(_CONTROL, lambda c: f"\\x{ord(c[0]):02x}", text)
