"""The type of an expression, without running it.

Owns a small evaluator over Python's AST that works on types: names are looked
up, members are followed in types, helpers are asked for what their
documentation says they return. It calls nothing of the user's, reads no memory
of the dump and never raises: what it does not know is ``None``.

Why not Jedi: it knows no C types, which are what matters here, and it weighs
34 MB. Why not ``eval`` of the text before the dot: that runs it.
"""

from __future__ import annotations

import ast
import builtins
import functools
import inspect
import re
import types
from collections.abc import Mapping
from typing import Any

import drgn

from btfdbg.commands.candidates import struct_of, underlying
from btfdbg.lazy_dataclass import dataclass
from btfdbg.program.session import Session

Class = type

_MISSING: Any = object()
_MAX_DEPTH = 60


@dataclass(frozen=True, slots=True)
class Known:
    """
    What is known about a value.

    :ivar type: It is a ``drgn.Object`` of this type.
    :ivar cls: It is an instance of this class.
    :ivar value: It is this very value (a name that is bound, a module's attribute).
    :ivar item: What iterating or indexing it gives.
    """

    type: drgn.Type | None = None
    cls: Class | None = None
    value: Any = _MISSING
    item: Known | None = None

    @property
    def has_value(self) -> bool:
        """Whether the value itself is known."""
        return self.value is not _MISSING


# Attributes and methods of drgn's classes, by class name: what they give. Text
# in backquotes is a C type.
_GIVES: dict[str, dict[str, str]] = {
    "Program": {
        "thread": "Thread",
        "crashed_thread": "Thread",
        "main_thread": "Thread",
        "stack_trace": "StackTrace",
        "symbol": "Symbol",
        "main_module": "Module",
        "module": "Module",
        "type": "Type",
        "platform": "Platform",
        "language": "Language",
    },
    "Thread": {"object": "`struct task_struct *`", "stack_trace": "StackTrace"},
    "StackTrace": {"[]": "StackFrame", "prog": "Program"},
    "StackFrame": {"symbol": "Symbol", "prog": "Program", "source": "SourceLocation"},
    "Type": {"type": "Type", "[]": "Type", "prog": "Program"},
    "TypeMember": {"type": "Type", "object": "Object"},
    "Object": {"type_": "Type", "prog_": "Program"},
    "Module": {"prog": "Program", "object": "`struct module *`"},
}

# Functions of drgn whose result has the type that an argument names:
# name -> (index of the argument, whether a pointer to it).
_TYPED_BY_ARGUMENT: dict[str, tuple[int, bool]] = {
    "cast": (0, False),
    "reinterpret": (0, False),
    "implicit_convert": (0, False),
    "container_of": (1, True),
    "Object": (1, False),
    "NULL": (1, False),
}

_SAME_TYPE_METHODS = frozenset(("read_", "read_once_", "from_bytes_"))

_RETURN = re.compile(r":return:\s*(.*?)(?=\n\s*:|\n\s*\n|\Z)", re.DOTALL)
_QUOTED = re.compile(r"``([^`]+)``")
_ITERATES = re.compile(r"\s*(?:An? )?(?:[Ii]terator|[Ll]ist|[Ss]equence|[Tt]uple) of")


class Inference:
    """
    Types of expressions over some names.

    :param names: Names of the prompt.
    :param kernel_names: A name that is not bound means the kernel's variable, as
        in the arguments of commands.
    """

    def __init__(
        self,
        session: Session,
        names: Mapping[str, Any],
        local: Mapping[str, Known] | None = None,
        *,
        kernel_names: bool = False,
    ) -> None:
        self.session = session
        self.names = names
        self.local: dict[str, Known] = dict(local or {})
        self.kernel_names = kernel_names

    def infer(self, source: str) -> Known | None:
        """What is known about an expression; ``None`` for nothing."""
        try:
            tree = ast.parse(source.strip(), mode="eval")
        except (SyntaxError, ValueError, MemoryError, RecursionError):
            return None
        return self.of(tree.body)

    def of(self, node: ast.expr, depth: int = 0) -> Known | None:
        """What is known about a node."""
        if depth > _MAX_DEPTH:
            return None
        method = _NODES.get(type(node))
        if method is None:
            return None
        try:
            found: Known | None = method(self, node, depth + 1)
            return found
        # drgn's lookups; the answer is then simply not known.
        except (LookupError, SyntaxError, ValueError, TypeError, AttributeError, drgn.FaultError):
            return None

    def c_type(self, text: str) -> drgn.Type | None:
        """A C type by its name."""
        try:
            return self.session.prog.type(text)
        except (LookupError, SyntaxError, ValueError):
            return None

    def known_value(self, value: Any) -> Known:
        """What is known about a value at hand."""
        if isinstance(value, drgn.Object):
            return Known(type=value.type_, cls=drgn.Object)
        return Known(cls=type(value), value=value)

    # Nodes

    def _name(self, node: ast.Name, depth: int) -> Known | None:
        if node.id in self.local:
            return self.local[node.id]
        if node.id in self.names:
            return self.known_value(self.names[node.id])
        if hasattr(builtins, node.id):
            return self.known_value(getattr(builtins, node.id))
        if self.kernel_names:
            return self._variable(node.id)
        return None

    def _variable(self, name: str) -> Known | None:
        symbols = self.session.lookup_symbols(name)
        # A name that several functions share costs a long search for nothing.
        if len(symbols) > 1 and all(symbol.type_letter in "tTwW" for symbol in symbols):
            return None
        return Known(type=self.session.prog[name].type_, cls=drgn.Object)

    def _constant(self, node: ast.Constant, depth: int) -> Known | None:
        return Known(cls=type(node.value), value=node.value)

    def _attribute(self, node: ast.Attribute, depth: int) -> Known | None:
        owner = self.of(node.value, depth)
        if owner is None:
            return None
        if owner.type is not None:
            target = struct_of(owner.type)
            if target is not None and target.has_member(node.attr):
                return Known(type=target.member(node.attr).type, cls=drgn.Object)
            return self._gives("Object", node.attr)
        if owner.has_value and isinstance(owner.value, types.ModuleType):
            # Not getattr(): a module may compute attributes.
            found = vars(owner.value).get(node.attr, _MISSING)
            return None if found is _MISSING else self.known_value(found)
        return self._gives(_class_name(owner.cls), node.attr)

    def _gives(self, owner: str, attribute: str) -> Known | None:
        result = _GIVES.get(owner, {}).get(attribute)
        if result is None:
            return None
        if result.startswith("`"):
            type_ = self.c_type(result.strip("`"))
            return None if type_ is None else Known(type=type_, cls=drgn.Object)
        if result == "Program":
            return self.known_value(self.session.prog)
        return Known(cls=getattr(drgn, result))

    def _subscript(self, node: ast.Subscript, depth: int) -> Known | None:
        owner = self.of(node.value, depth)
        if owner is None:
            return None
        if owner.has_value and isinstance(owner.value, drgn.Program):
            name = _text_of(node.slice)
            return None if name is None else self._variable(name)
        if owner.type is not None:
            type_ = underlying(owner.type)
            if type_.kind in (drgn.TypeKind.POINTER, drgn.TypeKind.ARRAY):
                return Known(type=type_.type, cls=drgn.Object)
            return None
        if owner.has_value and type(owner.value) in (list, tuple, dict):
            key = ast.literal_eval(node.slice)
            return self.known_value(owner.value[key])
        return owner.item or self._gives(_class_name(owner.cls), "[]")

    def _call(self, node: ast.Call, depth: int) -> Known | None:
        if isinstance(node.func, ast.Attribute):
            owner = self.of(node.func.value, depth)
            if owner is not None and owner.type is not None:
                return self._object_method(owner.type, node.func.attr, node)
            if owner is not None and owner.has_value and isinstance(owner.value, drgn.Program):
                return self._program_method(node.func.attr, node)
            if owner is not None and not (
                owner.has_value and isinstance(owner.value, types.ModuleType)
            ):
                return self._gives(_class_name(owner.cls), node.func.attr)
        function = self.of(node.func, depth)
        if function is None or not function.has_value:
            return None
        return self._function(function.value, node, depth)

    def _object_method(self, type_: drgn.Type, name: str, node: ast.Call) -> Known | None:
        if name == "address_of_":
            return Known(type=self.session.prog.pointer_type(type_), cls=drgn.Object)
        if name in _SAME_TYPE_METHODS:
            return Known(type=type_, cls=drgn.Object)
        if name in ("member_", "subobject_") and node.args:
            text = _text_of(node.args[0])
            current: drgn.Type | None = type_
            for part in re.findall(r"[A-Za-z_]\w*|\[\d+\]", text or ""):
                if current is None:
                    return None
                if part.startswith("["):
                    current = underlying(current).type
                else:
                    target = struct_of(current)
                    current = target.member(part).type if target is not None else None
            return None if current is None else Known(type=current, cls=drgn.Object)
        return {
            "value_": Known(cls=int),
            "string_": Known(cls=bytes),
            "format_": Known(cls=str),
            "to_bytes_": Known(cls=bytes),
        }.get(name)

    def _program_method(self, name: str, node: ast.Call) -> Known | None:
        text = _text_of(node.args[0]) if node.args else None
        if name in ("object", "variable", "constant", "function") and text is not None:
            return self._variable(text)
        if name == "type" and text is not None:
            type_ = self.c_type(text)
            return None if type_ is None else Known(cls=drgn.Type, value=type_)
        return self._gives("Program", name)

    def _function(self, function: Any, node: ast.Call, depth: int) -> Known | None:
        name = getattr(function, "__name__", "")
        module = getattr(function, "__module__", "") or ""
        if not module.startswith(("drgn", "_drgn")):
            return self._annotated(function)
        if name in _TYPED_BY_ARGUMENT:
            index, pointer = _TYPED_BY_ARGUMENT[name]
            if len(node.args) <= index:
                return None
            type_ = self._type_argument(node.args[index], depth)
            if type_ is not None and pointer:
                type_ = self.session.prog.pointer_type(type_)
            return None if type_ is None else Known(type=type_, cls=drgn.Object)
        return self._documented(function, node, depth) or self._annotated(function)

    def _type_argument(self, node: ast.expr, depth: int) -> drgn.Type | None:
        text = _text_of(node)
        if text is not None:
            return self.c_type(text)
        found = self.of(node, depth)
        if found is not None and found.has_value and isinstance(found.value, drgn.Type):
            return found.value
        return None

    def _documented(self, function: Any, node: ast.Call, depth: int) -> Known | None:
        """drgn's helpers say in their documentation which C type they return."""
        said = _returns(function)
        if said is None:
            return None
        text, iterates = said
        if text.startswith("type") and not text.startswith("typeof"):
            # "``type *``": the caller names the type in an argument of that name.
            index = _parameter_index(function, "type")
            argument = _argument(node, index, "type", function)
            type_ = None if argument is None else self._type_argument(argument, depth)
            if type_ is not None and text.rstrip().endswith("*"):
                type_ = self.session.prog.pointer_type(type_)
        else:
            type_ = self.c_type(text)
        if type_ is None:
            return None
        found = Known(type=type_, cls=drgn.Object)
        return Known(item=found) if iterates else found

    def _annotated(self, function: Any) -> Known | None:
        annotation = getattr(function, "__annotations__", {}).get("return")
        if inspect.isclass(function):
            return Known(cls=function)
        if isinstance(annotation, str):
            annotation = _SIMPLE.get(annotation.strip("'\""))
        return Known(cls=annotation) if isinstance(annotation, type) else None

    def _binary(self, node: ast.BinOp, depth: int) -> Known | None:
        left = self.of(node.left, depth)
        if left is not None and left.type is not None:
            return left
        right = self.of(node.right, depth)
        return right if right is not None and right.type is not None else left

    def _conditional(self, node: ast.IfExp, depth: int) -> Known | None:
        return self.of(node.body, depth) or self.of(node.orelse, depth)

    def _named(self, node: ast.NamedExpr, depth: int) -> Known | None:
        return self.of(node.value, depth)

    def _list(self, node: ast.List | ast.Tuple, depth: int) -> Known | None:
        item = self.of(node.elts[0], depth) if node.elts else None
        return Known(cls=list, item=item)

    def _comprehension(self, node: ast.ListComp | ast.GeneratorExp, depth: int) -> Known | None:
        inner = Inference(self.session, self.names, self.local, kernel_names=self.kernel_names)
        for generator in node.generators:
            over = inner.of(generator.iter, depth)
            if isinstance(generator.target, ast.Name) and over is not None:
                item = inner.item_of(over)
                if item is not None:
                    inner.local[generator.target.id] = item
        return Known(cls=list, item=inner.of(node.elt, depth))

    def item_of(self, known: Known) -> Known | None:
        """What iterating a value gives."""
        if known.item is not None:
            return known.item
        if known.type is not None:
            type_ = underlying(known.type)
            if type_.kind is drgn.TypeKind.ARRAY:
                return Known(type=type_.type, cls=drgn.Object)
        if known.has_value and type(known.value) in (list, tuple) and known.value:
            return self.known_value(known.value[0])
        return self._gives(_class_name(known.cls), "[]")


_SIMPLE = {"int": int, "str": str, "bytes": bytes, "bool": bool, "float": float}

_NODES: dict[type, Any] = {
    ast.Name: Inference._name,
    ast.Constant: Inference._constant,
    ast.Attribute: Inference._attribute,
    ast.Subscript: Inference._subscript,
    ast.Call: Inference._call,
    ast.BinOp: Inference._binary,
    ast.IfExp: Inference._conditional,
    ast.NamedExpr: Inference._named,
    ast.List: Inference._list,
    ast.Tuple: Inference._list,
    ast.ListComp: Inference._comprehension,
    ast.GeneratorExp: Inference._comprehension,
}


def _class_name(cls: type | None) -> str:
    """drgn's name for a class; its module types are one for this purpose."""
    if cls is None:
        return ""
    for base in cls.__mro__:
        if base.__name__ in _GIVES:
            return base.__name__
    return cls.__name__


def _text_of(node: ast.expr) -> str | None:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


@functools.lru_cache(maxsize=1024)
def _returns(function: Any) -> tuple[str, bool] | None:
    """(C type, whether it is iterated) that a helper's documentation names."""
    text = getattr(function, "__doc__", None) or ""
    match = _RETURN.search(text)
    if not match:
        return None
    quoted = _QUOTED.search(match[1])
    if not quoted or quoted[1] in ("None", "NULL", "True", "False"):
        return None
    return quoted[1].strip(), bool(_ITERATES.match(match[1]))


@functools.lru_cache(maxsize=1024)
def parameters(function: Any) -> tuple[str, ...]:
    """Names of a function's positional parameters."""
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return ()
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return tuple(p.name for p in signature.parameters.values() if p.kind in positional)


def _parameter_index(function: Any, name: str) -> int:
    found = parameters(function)
    return found.index(name) if name in found else 0


def _argument(node: ast.Call, index: int, name: str, function: Any) -> ast.expr | None:
    for keyword in node.keywords:
        if keyword.arg == name:
            return keyword.value
    return node.args[index] if index < len(node.args) else None
