"""What DWARF says of calls and places: what drgn does not ask it.

Owns two questions about a frame of drgn's: what its caller's call site passed (``DW_TAG_call_site
_parameter``), which is the value at the function's entry whatever the function did since; and
where a parameter is at a pc and at the entry, as an expression.

Facts: DWARF 5, 2.5 (expressions), 2.6 (locations), 3.4 (call sites); GCC's extensions for
DWARF 4 (``DW_TAG_GNU_call_site``); the psABIs' numbers of registers.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import drgn
from elftools.dwarf.dwarf_expr import DWARFExprParser
from elftools.dwarf.locationlists import LocationExpr, LocationParser
from elftools.elf.elffile import ELFFile

_M64 = (1 << 64) - 1
_MAX_DEPTH = 6
_CALL_SITES = ("DW_TAG_call_site", "DW_TAG_GNU_call_site")
_PARAMETERS = ("DW_TAG_call_site_parameter", "DW_TAG_GNU_call_site_parameter")
_VALUES = ("DW_AT_call_value", "DW_AT_GNU_call_site_value")
_ORIGINS = ("DW_AT_call_origin", "DW_AT_abstract_origin")
_RETURNS = ("DW_AT_call_return_pc", "DW_AT_low_pc")
_TAIL = ("DW_AT_call_tail_call", "DW_AT_GNU_tail_call")
_BEGINNINGS = (0, 4, 5, 9)
_ENTRY = ("DW_OP_entry_value", "DW_OP_GNU_entry_value")
_LOW = ("rax", "rdx", "rcx", "rbx", "rsi", "rdi", "rbp", "rsp")
_X86_64 = (*_LOW, *(f"r{n}" for n in range(8, 16)))
_AARCH64 = (*(f"x{n}" for n in range(31)), "sp")

Ops = list[Any]
Trace = tuple[drgn.StackFrame, ...]
"""drgn's frames that are functions of their own, innermost first, as DWARF unwinds them."""


class NotTold(Exception):
    """DWARF, or what evaluates it here, has no answer."""


class Dwarf:
    """
    The debug information of a kernel's ``vmlinux``; modules are not read.

    :param prog: drgn with that file loaded: it knows where the kernel runs.
    """

    def __init__(self, prog: drgn.Program, vmlinux: Path) -> None:
        self.prog = prog
        self._elf = ELFFile(vmlinux.open("rb"))
        self._info = self._elf.get_dwarf_info(relocate_dwarf_sections=False)
        self._locations = LocationParser(self._info.location_lists())
        self._aranges = self._info.get_aranges()
        self._units: list[tuple[int, int, Any]] | None = None
        self._functions: dict[int, list[tuple[int, int, Any]]] = {}
        self._sites: dict[int, dict[int, Any]] = {}
        self.registers = _AARCH64 if self._elf.get_machine_arch() == "AArch64" else _X86_64
        module = prog.main_module()
        self.bias: int = module.debug_file_bias or 0

    # Finding entries

    def _unit(self, pc: int) -> Any:
        offset = None if self._aranges is None else self._aranges.cu_offset_at_addr(pc)
        if offset is not None:
            return self._info.get_CU_at(offset)
        if self._units is None:
            self._units = sorted(
                (
                    (low, high, unit)
                    for unit in self._info.iter_CUs()
                    for low, high in self._ranges(unit.get_top_DIE())
                ),
                key=lambda u: u[0],
            )
        at = bisect_right(self._units, pc, key=lambda u: u[0]) - 1
        return self._units[at][2] if at >= 0 and pc < self._units[at][1] else None

    def _ranges(self, die: Any) -> Iterator[tuple[int, int]]:
        low, high = self._attribute(die, "DW_AT_low_pc"), die.attributes.get("DW_AT_high_pc")
        if high is not None and low is not None:
            end = high.value if high.form == "DW_FORM_addr" else low + high.value
            yield low, end
            return
        ranges = die.attributes.get("DW_AT_ranges")
        lists = self._info.range_lists()
        if ranges is None or lists is None:
            return
        base = low or self._attribute(die.cu.get_top_DIE(), "DW_AT_low_pc") or 0
        entry: Any
        for entry in lists.get_range_list_at_offset(ranges.value, die.cu):
            if type(entry).__name__ == "BaseAddressEntry":
                base = entry.base_address
            elif getattr(entry, "is_absolute", False):
                yield entry.begin_offset, entry.end_offset
            else:
                yield base + entry.begin_offset, base + entry.end_offset

    @staticmethod
    def _attribute(die: Any, *names: str) -> Any:
        for name in names:
            if name in die.attributes:
                return die.attributes[name].value
        return None

    def function(self, pc: int) -> Any:
        """The entry of the function that a pc is in (no inlined one), None if there is none."""
        at = pc - self.bias
        unit = self._unit(at)
        if unit is None:
            return None
        known = self._functions.get(unit.cu_offset)
        if known is None:
            known = self._functions[unit.cu_offset] = [
                (low, high, die)
                for die in unit.get_top_DIE().iter_children()
                if die.tag == "DW_TAG_subprogram"
                for low, high in self._ranges(die)
            ]
        return next((die for low, high, die in known if low <= at < high), None)

    @staticmethod
    def name(die: Any) -> str:
        """The name of an entry, its own or its origin's."""
        for _ in range(4):
            if "DW_AT_name" in die.attributes:
                return str(die.attributes["DW_AT_name"].value.decode())
            for name in ("DW_AT_abstract_origin", "DW_AT_specification"):
                if name in die.attributes:
                    die = die.get_DIE_from_attribute(name)
                    break
            else:
                return ""
        return ""

    def _below(self, die: Any) -> Iterator[Any]:
        for child in die.iter_children():
            if child.tag in _CALL_SITES:
                yield child
            elif child.has_children and child.tag != "DW_TAG_subprogram":
                yield from self._below(child)

    def _call_site(self, pc: int) -> Any:
        """The call that returns to a pc."""
        die = self.function(pc - 1)
        if die is None:
            return None
        sites = self._sites.get(die.offset)
        if sites is None:
            sites = self._sites[die.offset] = {}
            for site in self._below(die):
                back = self._attribute(site, *_RETURNS)
                if back is not None and not self._attribute(site, *_TAIL):
                    sites[back] = site
        return sites.get(pc - self.bias)

    # Values at the entry, by the caller's call

    def passed(self, trace: Trace, number: int, register: str, depth: int = 0) -> int:
        """
        What an argument register held when a frame's function was entered.

        :raises NotTold: the caller's call site does not say it, or is not proven to be of it.
        """
        if depth > _MAX_DEPTH or number + 1 >= len(trace):
            raise NotTold("no caller")
        inner, outer = trace[number], trace[number + 1]
        if outer.interrupted:
            raise NotTold("its caller was interrupted")
        site = self._call_site(outer.pc)
        if site is None:
            raise NotTold("no call site")
        function = self.function(inner.pc if inner.interrupted else inner.pc - 1)
        if function is None:
            raise NotTold("no function")
        for name in _ORIGINS:
            if name in site.attributes:
                called = self.name(site.get_DIE_from_attribute(name))
                if called != self.name(function):
                    raise NotTold("the call is of another function")
                break
        else:
            target = site.attributes.get("DW_AT_call_target") or site.attributes.get(
                "DW_AT_GNU_call_site_target"
            )
            if target is None:
                raise NotTold("whom it calls is not said")
            there = self._run(self._parse(site, target.value), trace, number + 1, depth)
            starts = [low for low, _ in self._ranges(function)]
            if there - self.bias not in starts:
                raise NotTold("the call is of another function")
        for parameter in site.iter_children():
            if parameter.tag not in _PARAMETERS:
                continue
            place = parameter.attributes.get("DW_AT_location")
            value = self._attribute(parameter, *_VALUES)
            if place is None or value is None:
                continue
            if self._register(self._parse(site, place.value)) == register:
                return self._run(self._parse(site, value), trace, number + 1, depth)
        raise NotTold("the call site does not say this register")

    def _parse(self, die: Any, data: Any) -> Ops:
        parser: Any = DWARFExprParser(die.cu.structs)
        found: Ops = parser.parse_expr(data)
        return found

    def _register(self, ops: Ops) -> str | None:
        """The register that an expression names, and nothing else."""
        if len(ops) != 1 or not ops[0].op_name.startswith("DW_OP_reg"):
            return None
        name = ops[0].op_name.removeprefix("DW_OP_reg")
        number = int(name) if name.isdigit() else ops[0].args[0]
        return self.registers[number] if number < len(self.registers) else None

    def _run(self, ops: Ops, trace: Trace, number: int, depth: int) -> int:
        """The value of an expression in a frame."""
        stack: list[int] = []
        for op in ops:
            self._step(op, stack, trace, number, depth)
        if not stack:
            raise NotTold("no value")
        return stack[-1] & _M64

    def _step(self, op: Any, stack: list[int], trace: Trace, number: int, depth: int) -> None:
        name, args = op.op_name.removeprefix("DW_OP_"), op.args
        if op.op_name in _ENTRY:
            register = self._register(args[0])
            if register is None:
                raise NotTold("entry value of no register")
            stack.append(self.passed(trace, number, register, depth + 1))
        elif name.startswith("lit"):
            stack.append(int(name[3:]))
        elif name.startswith("const"):
            stack.append(args[0])
        elif name == "addr":
            stack.append(args[0] + self.bias)
        elif name.startswith("breg"):
            index = int(name[4:]) if name != "bregx" else args[0]
            stack.append(self._of(trace, number, self.registers[index]) + args[-1])
        elif name == "fbreg":
            stack.append(self._frame_base(trace, number) + args[0])
        elif name == "call_frame_cfa":
            stack.append(self._frame_base(trace, number))
        elif name in ("deref", "deref_size"):
            size = args[0] if args else 8
            try:
                data = self.prog.read(stack.pop() & _M64, size)
            except drgn.FaultError as e:
                raise NotTold("memory") from e
            stack.append(int.from_bytes(data, "little"))
        elif name == "plus_uconst":
            stack[-1] += args[0]
        elif name == "dup":
            stack.append(stack[-1])
        elif name in _UNARY:
            stack[-1] = _UNARY[name](stack[-1])
        elif name in _BINARY:
            right = stack.pop() & _M64
            stack[-1] = _BINARY[name](stack[-1] & _M64, right) & _M64
        elif name not in ("stack_value", "nop"):
            raise NotTold(op.op_name)

    def _of(self, trace: Trace, number: int, register: str) -> int:
        frame = trace[number]
        try:
            return int(frame.sp if register in ("rsp", "sp") else frame.register(register))
        except (LookupError, ValueError) as e:
            raise NotTold("a register is not known") from e

    def _frame_base(self, trace: Trace, number: int) -> int:
        """The canonical frame address: the caller's stack pointer behind the call."""
        if number + 1 >= len(trace) or trace[number + 1].interrupted:
            raise NotTold("frame base")
        return self._of(trace, number + 1, "sp")

    # Places

    def places(self, pc: int, parameter: str) -> tuple[str, str] | None:
        """
        Where a parameter is at the function's entry and at a pc, as expressions.

        :param pc: Of an instruction.
        :return: None if DWARF has no such function or parameter; "" for no place.
        """
        die = self.function(pc)
        if die is None:
            return None
        start = min(low for low, _ in self._ranges(die))
        for child in die.iter_children():
            if child.tag == "DW_TAG_formal_parameter" and self.name(child) == parameter:
                location = child.attributes.get("DW_AT_location")
                if location is None:
                    return "", ""
                # Clang's lists begin behind what begins a function: endbr64, the tracer's call.
                begins = (self._place(child, location, start + n) for n in _BEGINNINGS)
                at = self._place(child, location, pc - self.bias)
                return next(filter(None, begins), ""), at
        return None

    def _place(self, die: Any, attribute: Any, at: int) -> str:
        found = self._locations.parse_from_attribute(attribute, die.cu["version"], die)
        if isinstance(found, LocationExpr):
            return self._told(self._parse(die, found.loc_expr))
        base = self._attribute(die.cu.get_top_DIE(), "DW_AT_low_pc") or 0
        entry: Any
        for entry in found:
            kind = type(entry).__name__
            if kind == "BaseAddressEntry":
                base = entry.base_address
            elif kind == "LocationEntry":
                low, high = entry.begin_offset, entry.end_offset
                if not getattr(entry, "is_absolute", False):
                    low, high = low + base, high + base
                if low <= at < high:
                    return self._told(self._parse(die, entry.loc_expr))
        return ""

    def _told(self, ops: Ops) -> str:
        """An expression in words."""
        words = []
        for op in ops:
            name = op.op_name.removeprefix("DW_OP_")
            if op.op_name in _ENTRY:
                words.append(f"entry({self._told(op.args[0])})")
            elif name.startswith("reg") and name[3:].isdigit():
                words.append(self.registers[int(name[3:])])
            elif name.startswith("breg") and name[4:].isdigit():
                words.append(f"{self.registers[int(name[4:])]}{op.args[0]:+}")
            else:
                words.append(" ".join([name, *map(str, op.args)]))
        return ", ".join(words)


def computed(place: str) -> str:
    """
    A place in words, if it is an expression and no register or memory that holds the value.

    >>> computed("r12+0, const2u 8192, or, stack_value")
    'r12+0, const2u 8192, or'
    >>> computed("r12"), computed("fbreg -40"), computed("r12+0, stack_value")
    ('', '', '')
    """
    ops = place.split(", ")
    if ops[-1] != "stack_value" or (len(ops) == 2 and ops[0].endswith("+0")):
        return ""
    return ", ".join(ops[:-1])


def _signed(number: int) -> int:
    number &= _M64
    return number - (1 << 64) if number >> 63 else number


_UNARY: dict[str, Callable[[int], int]] = {
    "neg": lambda a: -a,
    "not": lambda a: ~a,
    "abs": lambda a: abs(_signed(a)),
}
_BINARY: dict[str, Callable[[int, int], int]] = {
    "plus": lambda a, b: a + b,
    "minus": lambda a, b: a - b,
    "mul": lambda a, b: a * b,
    "and": lambda a, b: a & b,
    "or": lambda a, b: a | b,
    "xor": lambda a, b: a ^ b,
    "shl": lambda a, b: a << min(b, 64),
    "shr": lambda a, b: a >> min(b, 64),
    "shra": lambda a, b: _signed(a) >> min(b, 64),
    "eq": lambda a, b: _signed(a) == _signed(b),
    "ne": lambda a, b: _signed(a) != _signed(b),
    "lt": lambda a, b: _signed(a) < _signed(b),
    "gt": lambda a, b: _signed(a) > _signed(b),
    "le": lambda a, b: _signed(a) <= _signed(b),
    "ge": lambda a, b: _signed(a) >= _signed(b),
}
