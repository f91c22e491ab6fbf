"""Evaluate C expressions over a dump: what ``p`` and the arguments of commands take.

Owns what an expression means: C's rules for types and conversions as drgn applies them, gdb's
``ADDRESS@COUNT``, and the few macros of the kernel that people type. Nothing is ever run or
written: what would is refused, with a word on what to do instead. Which texts are C and which
Python is decided by ``values``.

Facts: C11 6.3 (conversions), 6.4.4.1 (the type of a constant), 6.5; drgn user guide,
"Objects" (operators follow C).
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping
from typing import Any

import drgn
from drgn import Object, TypeKind

from btfdbg.cdecl import CDeclError, CType, format_type
from btfdbg.cdecl import expression as c
from btfdbg.commands.candidates import underlying
from btfdbg.errors import BtfdbgError
from btfdbg.program import homonyms, untyped
from btfdbg.program.session import Session
from btfdbg.program.walks import remark
from btfdbg.variables.convert import TypeBuilder

_CACHE_KEY = "btfdbg.c_types"
_MAX_COUNT = 65536
_HEX = re.compile(r"[0-9a-f]{8,16}")
_WORD = (1 << 64) - 1

_ARITHMETIC: dict[str, Callable[[Any, Any], Any]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,  # drgn's division of integers is C's
    "%": operator.mod,
    "<<": operator.lshift,
    ">>": operator.rshift,
    "&": operator.and_,
    "|": operator.or_,
    "^": operator.xor,
}
_COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    ">": operator.gt,
    "<=": operator.le,
    ">=": operator.ge,
}
MACROS = frozenset(("NULL", "ARRAY_SIZE", "per_cpu", "per_cpu_ptr"))
"""Names that C has here though the kernel has no variable of them."""

_NUMBERS = (TypeKind.INT, TypeKind.BOOL, TypeKind.ENUM, TypeKind.FLOAT)


class CValueError(BtfdbgError, ValueError):
    """A C expression that has no value here."""


class RefusedError(CValueError):
    """A C expression that would write or run code."""


class Evaluator:
    """
    Values of C expressions.

    :param bound: Names that the user bound to objects or numbers; they come first.
    :param dollar: What ``$NAME`` is.
    :param cpu: Whose copies per-CPU variables are that are named; None refuses them.
    :param helpers: Functions of Python that C may call here: drgn's ``find_task(prog, 1)``.
    """

    def __init__(
        self,
        session: Session,
        bound: Mapping[str, Any],
        dollar: Callable[[str], Any],
        cpu: int | None = None,
        helpers: Mapping[str, Any] | None = None,
    ) -> None:
        self.session = session
        self.prog = session.prog
        self._bound = bound
        self._dollar = dollar
        self._cpu = cpu
        self._helpers = helpers or {}

    def value(self, tree: c.Expression) -> Object:
        """
        The value of an expression; an object in memory where it has an address.

        :raises RefusedError: it would write or call.
        :raises CValueError: it has no value, and why.
        :raises LookupError: a type or member is not in this dump.
        :raises NameError: nothing has one of its names.
        :raises drgn.FaultError: what it goes through is not in the dump.
        """
        visit = getattr(self, f"_eval_{type(tree).__name__.lower()}")
        found: Object = visit(tree)
        return found

    # Leaves

    def _eval_number(self, tree: c.Number) -> Object:
        bits = tree.value.bit_length()
        unsigned, long = "u" in tree.suffix, "l" in tree.suffix
        either = unsigned or not tree.decimal
        if not long and not unsigned and bits < 32:
            name = "int"
        elif not long and either and bits <= 32:
            name = "unsigned int"
        elif not unsigned and bits < 64:
            name = "long"
        else:
            name = "unsigned long"
        return Object(self.prog, name, tree.value)

    def _dollar_value(self, value: object, text: str) -> Object:
        if isinstance(value, Object):
            return value
        if isinstance(value, int):
            value = int(value)
            if -(1 << 63) <= value <= _WORD:
                fits = -(1 << 31) <= value < 1 << 31
                name = "int" if fits else "long" if value < 1 << 63 else "unsigned long"
                return Object(self.prog, name, value)
        raise CValueError(f"{text} is {type(value).__name__}, not a value of C")

    def _eval_dollar(self, tree: c.Dollar) -> Object:
        return self._dollar_value(self._dollar(tree.name), f"${tree.name}")

    def _eval_name(self, tree: c.Name) -> Object:
        return self._named(tree.name, self._cpu, False)

    def _named(self, name: str, cpu: int | None, address_only: bool) -> Object:
        if name in self._bound:
            return self._dollar_value(self._bound[name], name)
        try:
            found = self.prog[name]
        except KeyError:
            return self._not_found(name)
        if found.address_ is None or address_only:
            return found
        from btfdbg.program.per_cpu import is_per_cpu

        if not is_per_cpu(self.session, name):
            return found
        if cpu is None:
            from btfdbg.commands.kernel_names import check_cpu

            check_cpu(self.session, name)
        from drgn.helpers.linux.percpu import per_cpu

        return per_cpu(found, cpu)

    def _not_found(self, name: str) -> Object:
        if name == "NULL":
            return Object(self.prog, "void *", 0)
        if name in ("true", "false"):
            return Object(self.prog, "int", int(name == "true"))
        if _HEX.fullmatch(name):
            return Object(self.prog, "unsigned long", int(name, 16))
        try:
            symbol = self.prog.symbol(name)
        except LookupError:
            raise NameError(
                f"{name!r} is neither a name of the prompt nor a variable of the kernel", name=name
            ) from None
        raise UntypedError(name, symbol.address, untyped.explain(self.session, name))

    # Operators

    def _eval_unary(self, tree: c.Unary) -> Object:
        if tree.op == "&":
            return self._address_of(tree.operand)
        if tree.op == "*":
            return self._target(self._pointer(self.value(tree.operand)))
        operand = self.value(tree.operand)
        if tree.op == "!":
            return self._truth(not self._is_true(operand))
        operand = self._scalar(operand, tree.op)
        if tree.op == "~":
            return ~self._word(operand)
        return -operand if tree.op == "-" else +operand

    def _address_of(self, operand: c.Expression) -> Object:
        if isinstance(operand, c.Name):
            try:
                found = self._named(operand.name, self._cpu, self._cpu is None)
            except UntypedError as e:
                return Object(self.prog, "void *", e.address)
        else:
            found = self.value(operand)
        if found.address_ is None:
            raise CValueError(f"& of {found.type_.type_name()}: a value without an address")
        if found.bit_field_size_ is not None:
            raise CValueError("& of a bit-field: it has no address of its own")
        return found.address_of_()

    def _eval_binary(self, tree: c.Binary) -> Object:
        op = tree.op
        if op in ("&&", "||"):
            left = self._is_true(self.value(tree.left))
            if left is (op == "||"):
                return self._truth(left)
            return self._truth(self._is_true(self.value(tree.right)))
        if op == "@":
            return self._repeated(self.value(tree.left), self.value(tree.right))
        left, right = self.value(tree.left), self.value(tree.right)
        left, right = self._scalar(left, op), self._scalar(right, op)
        pointers = [_kind(side) is TypeKind.POINTER for side in (left, right)]
        if op in _COMPARISONS:
            if any(pointers):
                left, right = self._word(left), self._word(right)
            return self._truth(_COMPARISONS[op](left, right))
        if any(pointers) and op not in ("+", "-"):
            left, right = self._word(left), self._word(right)
        if op in ("<<", ">>"):
            self._check_shift(op, left, right)
        if op in ("/", "%") and not self._is_true(right):
            raise CValueError("division by zero")
        found: Object = _ARITHMETIC[op](left, right)
        return found

    def _check_shift(self, op: str, left: Object, right: Object) -> None:
        width = max(8 * drgn.sizeof(left), 32)
        count = int(right.value_())
        if not 0 <= count < width:
            hint = "; 1UL is 64 bits wide" if 0 <= count < 64 else ""
            raise CValueError(f"{op} {count}: what is shifted has {width} bits{hint}")

    def _eval_conditional(self, tree: c.Conditional) -> Object:
        condition = self._is_true(self.value(tree.condition))
        return self.value(tree.then if condition else tree.other)

    def _eval_select(self, tree: c.Select) -> Object:
        try:
            return self.value(tree.operand).member_(tree.member)
        except TypeError as e:
            raise CValueError(f".{tree.member}: {e}") from None

    def _eval_index(self, tree: c.Index) -> Object:
        operand = self.value(tree.operand)
        index = self.value(tree.index)
        if _kind(index) not in _NUMBERS:
            raise CValueError(f"[{index.type_.type_name()}]: a number was expected")
        number = int(index.value_())
        if _kind(operand) is TypeKind.ARRAY and operand.address_ is None:
            try:
                return operand[number]
            except IndexError:
                raise CValueError(f"[{number}]: the array has fewer elements") from None
        return self._target(self._pointer(operand), number)

    def _eval_cast(self, tree: c.Cast) -> Object:
        type_ = self.type(tree.type)
        kind = underlying(type_).kind
        try:
            operand = self.value(tree.operand)
        except UntypedError as e:
            # gdb: a variable without a type is read as what it is cast to.
            return Object(self.prog, type_, address=e.address)
        if kind in (TypeKind.STRUCT, TypeKind.UNION, TypeKind.CLASS, TypeKind.ARRAY):
            name = type_.type_name()
            raise CValueError(f"({name}): a cast to it is none of C; *({name} *)ADDRESS is")
        operand = self._scalar(operand, "a cast")
        if kind is TypeKind.VOID:
            raise CValueError("(void) leaves no value")
        pointers = (kind, _kind(operand))
        if TypeKind.POINTER in pointers and pointers != (TypeKind.POINTER, TypeKind.POINTER):
            operand = drgn.cast("unsigned long", self._word(operand))
        return drgn.cast(type_, operand)

    def _eval_sizeof(self, tree: c.SizeOf) -> Object:
        if tree.is_type:
            measured: Any = self.type(tree.operand)  # type: ignore[arg-type] # is_type says
        elif isinstance(tree.operand, c.Name):
            measured = self._named(tree.operand.name, None, True)
        else:
            measured = self.value(tree.operand)  # type: ignore[arg-type] # is_type says
        try:
            size = drgn.sizeof(measured)
        except TypeError as e:
            raise CValueError(f"sizeof: {e}") from None
        return Object(self.prog, "unsigned long", size)

    def _eval_offsetof(self, tree: c.OffsetOf) -> Object:
        offset = drgn.offsetof(self.type(tree.type), tree.member)
        return Object(self.prog, "unsigned long", offset)

    def _eval_containerof(self, tree: c.ContainerOf) -> Object:
        pointer = self._pointer(self.value(tree.pointer))
        return drgn.container_of(pointer, self.type(tree.type), tree.member)

    def _eval_call(self, tree: c.Call) -> Object:
        word = tree.function.name if isinstance(tree.function, c.Name) else ""
        given = tree.arguments
        if word == "ARRAY_SIZE" and len(given) == 1:
            array = underlying(self.value(given[0]).type_)
            if array.kind is TypeKind.ARRAY and array.length is not None:
                return Object(self.prog, "unsigned long", array.length)
            raise CValueError("ARRAY_SIZE of what is no array with a length")
        if word in ("per_cpu", "per_cpu_ptr") and len(given) == 2:
            return self._of_cpu(word, *given)
        helper = self._helpers.get(word)
        if callable(helper):
            arguments = [
                self.prog if given == c.Name("prog") else self.value(given) for given in given
            ]
            return self._dollar_value(helper(*arguments), f"{word}()")
        if word and not self.session.lookup_symbols(word):
            raise NameError(
                f"{word!r}: no function of the kernel, and macros leave no trace", name=word
            )
        raise RefusedError(_no_call(word))

    def _of_cpu(self, word: str, variable: c.Expression, cpu: c.Expression) -> Object:
        from drgn.helpers.linux import percpu

        number = int(self._scalar(self.value(cpu), word).value_())
        if word == "per_cpu":
            if not isinstance(variable, c.Name):
                raise CValueError("per_cpu(VARIABLE, CPU): a variable's name was expected")
            return percpu.per_cpu(self._named(variable.name, None, True), number)
        return percpu.per_cpu_ptr(self._pointer(self.value(variable)), number)

    def _eval_assign(self, tree: c.Assign) -> Object:
        raise RefusedError(
            f"{tree.op} would write, and a dump is only read;"
            " == compares, and a name of your own is bound in Python: x = prog['NAME']"
        )

    # Conversions

    def type(self, tree: CType) -> drgn.Type:
        """
        A type by its declaration; ``struct`` and the like may be left out.

        :raises LookupError: this dump has no such type.
        """
        builder = self.prog.cache.get(_CACHE_KEY)
        if not isinstance(builder, TypeBuilder):
            builder = TypeBuilder(self.prog, self._named_type)
            self.prog.cache[_CACHE_KEY] = builder
        try:
            return builder.build(tree)
        except CDeclError as e:
            raise CValueError(f"{format_type(tree)}: {e}") from None

    def _named_type(self, name: str) -> drgn.Type:
        from btfdbg.commands.kernel_names import find_type

        if "#" in name:
            return find_type(self.session, name)
        found = self.prog.type(name) if " " in name else find_type(self.session, name)
        same = homonyms.homonyms_of(self.session, found)
        if same:
            remark(self.prog, homonyms.told(same, homonyms.number_of(same, found) or 1))
        return found

    def _scalar(self, found: Object, what: str) -> Object:
        """A value to calculate with: arrays and functions are their address."""
        kind = _kind(found)
        if kind in (TypeKind.ARRAY, TypeKind.FUNCTION):
            return self._pointer(found)
        if kind is TypeKind.POINTER or kind in _NUMBERS:
            return found.read_()
        raise CValueError(f"{what}: {found.type_.type_name()} is no number or pointer")

    def _pointer(self, found: Object) -> Object:
        kind = _kind(found)
        if kind is TypeKind.POINTER:
            return found
        if found.address_ is not None:
            if kind is TypeKind.FUNCTION:
                return Object(self.prog, "void *", found.address_)
            if kind is TypeKind.ARRAY:
                element = self.prog.pointer_type(underlying(found.type_).type)
                return Object(self.prog, element, found.address_)
        raise CValueError(
            f"{found.type_.type_name()} is no pointer; (TYPE *) in front makes a number one"
        )

    def _target(self, pointer: Object, index: int = 0) -> Object:
        target = underlying(underlying(pointer.type_).type)
        if target.kind in (TypeKind.VOID, TypeKind.FUNCTION):
            name = pointer.type_.type_name()
            raise CValueError(f"what {name} points to has no value; cast it: *(TYPE *)…")
        try:
            return pointer[index]
        except TypeError as e:
            raise CValueError(str(e)) from None

    def _word(self, found: Object) -> Object:
        """Pointers as numbers, numbers as they are unless a pointer stands beside them."""
        if _kind(found) is TypeKind.POINTER:
            return Object(self.prog, "unsigned long", int(found.value_()))
        return found

    def _repeated(self, left: Object, right: Object) -> Object:
        if left.address_ is None:
            raise CValueError("@: only what is in memory can be repeated, as in *ptr@3")
        count = int(self._scalar(right, "@").value_())
        if not 0 < count <= _MAX_COUNT:
            raise CValueError(f"@{count}: 1 to {_MAX_COUNT} elements")
        return Object(self.prog, self.prog.array_type(left.type_, count), address=left.address_)

    def _is_true(self, found: Object) -> bool:
        return bool(self._scalar(found, "a condition"))

    def _truth(self, value: bool) -> Object:
        return Object(self.prog, "int", int(value))


class UntypedError(CValueError):
    """A symbol whose type is not known."""

    def __init__(self, name: str, address: int, why: str) -> None:
        super().__init__(
            why or f"no type is known for {name}, at {address:#x}; *(TYPE *)&{name} reads it so"
        )
        self.address = address


def _no_call(word: str) -> str:
    shown = f"{word}(…)" if word else "a call"
    see = f"; whatis {word} shows its declaration" if word else ""
    return f"{shown} would run the kernel's code, and in a dump nothing runs{see}"


def _kind(found: Object) -> TypeKind:
    return underlying(found.type_).kind
