"""Dataclasses that take no time to make: what start-up imports uses these.

Owns a subset of :func:`dataclasses.dataclass`: ``slots=True``, with ``frozen=True`` or
without; plain defaults and ``field(default, default_factory, compare, repr)``;
``ClassVar``; inheritance.
Everything in :mod:`dataclasses` works on the results (``fields``, ``replace``,
``asdict``); type checkers see the original.

Why: ``dataclasses`` compiles some seven functions for each class when it is defined.
The 75 classes that lie between ``btfdbg CORE`` and a first answer cost 46 ms, and the
import of ``dataclasses`` (for ``inspect``) 12 more; opening the dump and importing drgn
cost 45. Here comparison and the like are shared by all classes, and ``__init__`` is
compiled (0.1 ms) when some dozens of objects were made: most classes of a first answer make
one, and those of a first backtrace thirty.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from dataclasses import dataclass as dataclass
    from dataclasses import field as field
    from dataclasses import replace as replace
else:
    from operator import attrgetter

    _MISSING = object()
    # Objects of a class that are made field by field, before a function for it is compiled.
    _FEW = 64

    class _Field:
        __slots__ = ("compare", "default", "factory", "repr")

        def __init__(self, default, factory=None, compare=True, repr=True):
            self.default = default
            self.factory = factory
            self.compare = compare
            self.repr = repr

    def field(*, default=_MISSING, default_factory=None, compare=True, repr=True):
        return _Field(default, default_factory, compare, repr)

    def replace(obj, /, **changes):
        for name in obj.__record_fields__:
            if name not in changes:
                changes[name] = getattr(obj, name)
        return type(obj)(**changes)

    class _Standard:
        """What :mod:`dataclasses` wants to know of a class, made by it when it asks."""

        def __init__(self, attribute):
            self.attribute = attribute

        def __get__(self, obj, cls):
            import dataclasses

            specs = []
            for name, (annotation, f) in cls.__record_fields__.items():
                given = {"compare": f.compare, "repr": f.repr}
                if f.factory is not None:
                    given["default_factory"] = f.factory
                elif f.default is not _MISSING:
                    given["default"] = f.default
                specs.append((name, annotation, dataclasses.field(**given)))
            twin = dataclasses.make_dataclass(
                cls.__name__, specs, frozen=cls.__setattr__ is _refuse_set
            )
            cls.__dataclass_fields__ = twin.__dataclass_fields__
            cls.__dataclass_params__ = twin.__dataclass_params__
            return getattr(twin, self.attribute)

    def _refuse_set(self, name, value):
        from dataclasses import FrozenInstanceError

        raise FrozenInstanceError(f"cannot assign to field {name!r}")

    def _refuse_delete(self, name):
        from dataclasses import FrozenInstanceError

        raise FrozenInstanceError(f"cannot delete field {name!r}")

    def _repr(self):
        fields = self.__record_fields__.items()
        values = [f"{name}={getattr(self, name)!r}" for name, (_, f) in fields if f.repr]
        return f"{type(self).__qualname__}({', '.join(values)})"

    def _eq(self, other):
        if other.__class__ is self.__class__:
            values = self.__record_values__
            return values(self) == values(other)
        return NotImplemented

    def _hash(self):
        return hash(self.__record_values__(self))

    def _getstate(self):
        return [getattr(self, name) for name in self.__record_fields__]

    def _setstate(self, state):
        for name, value in zip(self.__record_fields__, state, strict=True):
            object.__setattr__(self, name, value)

    def _first_init(fields, frozen):
        """An ``__init__`` that, in the end, compiles the real one and puts that in its place."""
        names = tuple(fields)
        assign = object.__setattr__ if frozen else setattr
        left = [_FEW]

        def __init__(self, /, *args, **kwargs):
            if left[0]:
                left[0] -= 1
                whole = not kwargs and len(args) == len(names)
                values = args if whole else _values(fields, names, args, kwargs)
                if values is not None:
                    for name, value in zip(names, values, strict=True):
                        assign(self, name, value)
                    return
            cls = next(c for c in type(self).__mro__ if c.__dict__.get("__init__") is __init__)
            cls.__init__ = real = _make_init(cls, fields, frozen)
            real(self, *args, **kwargs)

        return __init__

    def _values(fields, names, args, kwargs):
        """The values of all fields, or ``None`` if the arguments are wrong."""
        if len(args) > len(names):
            return None
        values = list(args)
        taken = 0
        for name in names[len(args) :]:
            f = fields[name][1]
            if name in kwargs:
                values.append(kwargs[name])
                taken += 1
            elif f.factory is not None:
                values.append(f.factory())
            elif f.default is not _MISSING:
                values.append(f.default)
            else:
                return None
        return values if taken == len(kwargs) else None

    def _make_init(cls, fields, frozen):
        names = {"_missing": _MISSING}
        parameters, body = ["self"], []
        for name, (_, f) in fields.items():
            value = name
            if f.factory is not None:
                names[f"_factory_{name}"] = f.factory
                parameters.append(f"{name}=_missing")
                value = f"_factory_{name}() if {name} is _missing else {name}"
            elif f.default is not _MISSING:
                names[f"_default_{name}"] = f.default
                parameters.append(f"{name}=_default_{name}")
            else:
                parameters.append(name)
            if frozen:  # past our __setattr__, by the slot itself
                names[f"_set_{name}"] = getattr(cls, name).__set__
                body.append(f"    _set_{name}(self, {value})\n")
            else:
                body.append(f"    self.{name} = {value}\n")
        text = f"def __init__({', '.join(parameters)}):\n{''.join(body) or '    pass'}"
        exec(text, names)
        init = names["__init__"]
        init.__qualname__ = f"{cls.__qualname__}.__init__"
        init.__annotations__ = {name: annotation for name, (annotation, _) in fields.items()}
        return init

    def dataclass(*, slots, frozen=False):
        """See :func:`dataclasses.dataclass`; ``slots`` must be true."""
        if not slots:
            raise TypeError("slots=True was expected")

        def make(cls):
            fields = {}
            for base in cls.__mro__[:0:-1]:
                fields.update(base.__dict__.get("__record_fields__", ()))
            namespace = dict(cls.__dict__)
            own = []
            for name, annotation in cls.__annotations__.items():
                if str(annotation).startswith(("ClassVar", "typing.ClassVar")):
                    continue
                if name not in fields:
                    own.append(name)
                f = namespace.pop(name, _MISSING)
                fields[name] = (annotation, f if type(f) is _Field else _Field(f))
            for name in ("__dict__", "__weakref__"):
                namespace.pop(name, None)
            namespace["__slots__"] = tuple(own)
            namespace["__record_fields__"] = fields
            compared = [name for name, (_, f) in fields.items() if f.compare]
            values = attrgetter(*compared) if compared else lambda self: ()
            namespace["__record_values__"] = staticmethod(values)
            namespace["__dataclass_fields__"] = _Standard("__dataclass_fields__")
            namespace["__dataclass_params__"] = _Standard("__dataclass_params__")
            namespace.setdefault("__init__", _first_init(fields, frozen))
            namespace.setdefault("__repr__", _repr)
            namespace.setdefault("__match_args__", tuple(fields))
            if "__eq__" not in namespace:
                namespace["__eq__"] = _eq
                namespace.setdefault("__hash__", _hash if frozen else None)
            if frozen:
                namespace["__setattr__"] = _refuse_set
                namespace["__delattr__"] = _refuse_delete
                namespace.setdefault("__getstate__", _getstate)
                namespace.setdefault("__setstate__", _setstate)
            return type(cls)(cls.__name__, cls.__bases__, namespace)

        return make
