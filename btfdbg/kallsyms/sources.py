"""Symbols from a file that the user gives, and from VMCOREINFO.

Owns the text format of System.map and /proc/kallsyms, and the question whether
such a file is of the kernel in the dump. A file of another kernel gives wrong
addresses for right names, so it is not believed unless VMCOREINFO agrees.

Facts: ``nm -n`` lines "address letter name"; /proc/kallsyms adds "[module]" and
has addresses with KASLR applied, or zeros for those who may not see them. The output of
the command ``sym -l`` has no letters (drgn) or has them in parentheses (crash), and ends
with the symbols of modules: these lie outside of the image.
Absolute per-CPU symbols (x86 before 6.15) do not move with KASLR.
"""

from __future__ import annotations

from btfdbg.errors import DebugInfoError
from btfdbg.kallsyms.listed import ListedTable
from btfdbg.kallsyms.model import MAX_NAME, MAX_SYMBOLS, Sym
from btfdbg.lazy_pattern import pattern
from btfdbg.vmcore.vmcoreinfo import VmcoreInfo

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pathlib import Path

STEP = "kallsyms"
_MAX_FILE = 1 << 29
_MIN_SYMBOLS = 1000
_MASK64 = (1 << 64) - 1
_IMAGE = 1 << 30
# arch/x86/kernel/vmlinux.lds.S puts .init.scratch behind _end (since Linux kernel commit
# e1bfa87399e3 ("x86/mm: Create a workarea in the kernel for SME early encryption", v5.3)).
_SCRATCH_END = "__init_scratch_end"
_MAX_SCRATCH = 1 << 26

# VMCOREINFO_SYMBOL_ARRAY() of something that is a pointer gives its value.
_VALUES = frozenset({"mem_section", "vmemmap"})
_LINE = pattern(r"([0-9A-Fa-f]{8,16}) ([A-Za-z?-]) (\S+)(?:[ \t]+\[(\S+)\])?\s*")
# "sym -l" of drgn has no letters, crash's has them in parentheses.
_LISTED = pattern(r"([0-9A-Fa-f]{1,16})  ?(?:\(([A-Za-z?])\) )?([^\s()]+)\s*")
_CODE = (("_text", "_etext"), ("_stext", "_etext"), ("_sinittext", "_einittext"))


def load_file(path: str | Path, info: VmcoreInfo | None = None) -> ListedTable:
    """
    Read System.map or a copy of /proc/kallsyms.

    :param info: VMCOREINFO of the dump: gives the KASLR displacement and proves
        that the file is of the same kernel. Without it the file is believed as
        it is.
    :raises DebugInfoError: unreadable, no such file format, or of another kernel.
    """
    from pathlib import Path  # slow to import, and most dumps have their own symbols

    path = Path(path)
    try:
        if path.stat().st_size > _MAX_FILE:
            raise _bad(f"{path}: too large for a symbol file")
        text = path.read_bytes()
    except OSError as error:
        raise _bad(f"{path}: {error.strerror or error}") from error
    return parse_map(text, str(path), info)


def parse_map(text: bytes, origin: str, info: VmcoreInfo | None = None) -> ListedTable:
    """
    Read the text of such a file.

    :param origin: Name of the file, for messages.
    """
    symbols: list[tuple[int, str, str]] = []
    percpu: dict[str, int] = {}
    wrong = 0
    listed = False
    for raw in text.split(b"\n"):
        line = raw.decode("ascii", "backslashreplace")
        match = _LINE.fullmatch(line)
        if match is not None:
            digits, letter, name, module = match.groups()
        else:
            match = _LISTED.fullmatch(line)
            if match is None:
                wrong += bool(raw.strip())
                continue
            digits, letter, name = match.groups()
            letter, module = letter or "?", None
            listed = True
        # Modules come from the dump itself; a file may be of another boot.
        if module is not None or letter in "UuNn" or len(name) > MAX_NAME:
            continue
        address = int(digits, 16)
        if name in ("__per_cpu_start", "__per_cpu_end"):
            percpu[name] = address
        symbols.append((address, letter, name))
        if len(symbols) > MAX_SYMBOLS:
            raise _bad(f"{origin}: more than {MAX_SYMBOLS} symbols")
    if len(symbols) < _MIN_SYMBOLS or wrong > len(symbols):
        hint = "Debian's /boot/System.map is a stub; the real one is in the -dbg package"
        raise _bad(f"{origin}: {len(symbols)} symbols, not the map of a kernel", hint)
    if not any(address for address, _, _ in symbols):
        raise _bad(
            f"{origin}: all addresses are 0",
            "read /proc/kallsyms as root, with kernel.kptr_restrict below 2",
        )
    if listed:
        symbols = _of_the_image(symbols)
    low = percpu.get("__per_cpu_start", 0)
    high = percpu.get("__per_cpu_end", 0)
    absolute_end = high if low < 4096 and "__per_cpu_end" in percpu else -1
    shift = 0
    source = origin
    if info is not None:
        shift = _displacement(symbols, info, absolute_end, origin)
        if shift:
            source += f", moved by {_signed(shift):+#x}"
    return ListedTable(
        (
            Sym(
                name,
                address if address <= absolute_end else (address + shift) & _MASK64,
                0,
                letter,
                low <= address < high,
                "file",
            )
            for address, letter, name in symbols
        ),
        source,
        complete=True,
        problems=(f"{origin}: {wrong} lines are no symbols",) if wrong else (),
    )


def _of_the_image(symbols: list[tuple[int, str, str]]) -> list[tuple[int, str, str]]:
    """The symbols of a list without letters or module names: no module's, and which are code."""
    at: dict[str, int] = {}
    for address, _, name in symbols:
        at.setdefault(name, address)
    code = [(at[low], at[high]) for low, high in _CODE if low in at and high in at]
    start, end = at.get("_text", at.get("_stext", 0)), at.get("_end", _MASK64)
    if end < at.get(_SCRATCH_END, 0) <= end + _MAX_SCRATCH:
        end = at[_SCRATCH_END]
    top = at.get("__per_cpu_end", 0)
    kept = []
    for address, letter, name in symbols:
        if not (start <= address <= end or address <= top < start):
            continue
        if letter == "?":
            letter = "T" if any(low <= address < high for low, high in code) else "D"
        kept.append((address, letter, name))
    return kept


def from_vmcoreinfo(info: VmcoreInfo) -> ListedTable:
    """The ``SYMBOL()`` lines. Their letters are not known, nor their extents."""
    stext = info.symbols.get("_stext")
    return ListedTable(
        (
            Sym(name, address, 0, "?", False, "VMCOREINFO")
            for name, address in info.symbols.items()
            if name not in _VALUES and (stext is None or abs(address - stext) < _IMAGE)
        ),
        "SYMBOL() lines of VMCOREINFO",
        complete=False,
    )


def _displacement(
    symbols: list[tuple[int, str, str]], info: VmcoreInfo, absolute_end: int, origin: str
) -> int:
    """What to add to the file's addresses, modulo 2**64."""
    in_file: dict[str, set[int]] = {}
    for address, _, name in symbols:
        if name in info.symbols and name not in _VALUES and address > absolute_end:
            in_file.setdefault(name, set()).add(address)
    anchor = next(
        (name for name in ("_stext", "init_uts_ns") if len(in_file.get(name, ())) == 1), None
    )
    shift = 0
    if anchor is not None:
        shift = (info.symbols[anchor] - next(iter(in_file[anchor]))) & _MASK64
    elif info.kernel_offset is not None:
        shift = info.kernel_offset
    agree = [
        name
        for name, addresses in in_file.items()
        if any((address + shift) & _MASK64 == info.symbols[name] for address in addresses)
    ]
    if in_file and 2 * len(agree) <= len(in_file):
        odd = next(name for name in in_file if name not in agree)
        raise _bad(
            f"{origin} is of another kernel: {len(in_file) - len(agree)} of {len(in_file)} symbols "
            f"of VMCOREINFO are elsewhere in it ({odd} is at 0x{info.symbols[odd]:x} in the dump)",
            f"it must be of exactly {info.release or 'this kernel'}",
        )
    return shift


def _signed(value: int) -> int:
    return value - (1 << 64) if value >> 63 else value


def _bad(message: str, hint: str = "") -> DebugInfoError:
    return DebugInfoError(
        message,
        step=STEP,
        hint=hint or "give the System.map of exactly this kernel, or a copy of its /proc/kallsyms",
    )
