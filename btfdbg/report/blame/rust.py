"""Names of Rust functions: from rustc's mangled form to a path.

Owns the part of the v0 mangling that names of functions use. Hashes of crates and
arguments of generics are left out: they differ between builds of one source.

Facts: https://doc.rust-lang.org/rustc/symbol-mangling/v0.html; the kernel mangles so
since Rust came into it (``-Csymbol-mangling-version=v0`` in Makefile).
"""

from __future__ import annotations

_DEPTH = 64
_LENGTH = 1000  # of a name, and of what it becomes
_BASIC = {
    "a": "i8", "b": "bool", "c": "char", "d": "f64", "e": "str", "f": "f32", "h": "u8",
    "i": "isize", "j": "usize", "l": "i32", "m": "u32", "n": "i128", "o": "u128", "p": "_",
    "s": "i16", "t": "u16", "u": "()", "v": "...", "x": "i64", "y": "u64", "z": "!",
}  # fmt: skip
_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"


def demangle(name: str) -> str:
    """
    Return a mangled name as a path, or unchanged if it is none.

    >>> demangle("_RNvMs3_NtCshgDM7dBCdno_11rust_binder7processNtB5_7Process10update_ref")
    '<rust_binder::process::Process>::update_ref'
    """
    if not name.startswith("_R") or len(name) > _LENGTH:
        return name
    try:
        path = _Reader(name[2:]).path(0)
    except (ValueError, IndexError):
        return name
    return path if 0 < len(path) <= _LENGTH else name


class _Reader:
    def __init__(self, text: str, at: int = 0) -> None:
        self.text = text
        self.at = at
        self.left = 4 * _LENGTH  # steps: back references could be followed for ever

    def _next(self) -> str:
        self.left -= 1
        if self.left < 0:
            raise ValueError("too long")
        char = self.text[self.at]
        self.at += 1
        return char

    def _take(self, char: str) -> bool:
        if self.text[self.at : self.at + 1] != char:
            return False
        self.at += 1
        return True

    def _base62(self) -> int:
        value = 0
        if self._take("_"):
            return 0
        while (char := self._next()) != "_":
            value = value * 62 + _DIGITS.index(char)
        return value + 1

    def _disambiguator(self) -> int:
        return self._base62() + 1 if self._take("s") else 0

    def _identifier(self) -> tuple[int, str]:
        number = self._disambiguator()
        self._take("u")  # punycode: shown as it stands
        start = self.at
        while self.text[self.at : self.at + 1].isdecimal():
            self.at += 1
        length = int(self.text[start : self.at])
        self._take("_")
        if length > len(self.text) - self.at:
            raise ValueError("cut")
        self.at += length
        return number, self.text[self.at - length : self.at]

    def _back(self) -> _Reader:
        here = self.at - 1
        to = self._base62()
        if to >= here:
            raise ValueError("forward reference")
        reader = _Reader(self.text, to)
        reader.left = self.left
        return reader

    def path(self, depth: int) -> str:
        if depth > _DEPTH:
            raise ValueError("too deep")
        kind = self._next()
        if kind == "C":
            return self._identifier()[1]
        if kind == "N":
            space = self._next()
            parent = self.path(depth + 1)
            number, name = self._identifier()
            if space.isupper():
                word = {"C": "closure", "S": "shim"}.get(space, space)
                return f"{parent}::{{{word}{f':{name}' if name else ''}#{number}}}"
            return f"{parent}::{name}" if name else parent
        if kind in "MX":
            self._disambiguator()
            self.path(depth + 1)
            of = self.type(depth + 1)
            return f"<{of}>" if kind == "M" else f"<{of} as {self.path(depth + 1)}>"
        if kind == "Y":
            of = self.type(depth + 1)
            return f"<{of} as {self.path(depth + 1)}>"
        if kind == "I":
            path = self.path(depth + 1)
            while not self._take("E"):
                self._argument(depth + 1)
            return path
        if kind == "B":
            return self._back().path(depth + 1)
        raise ValueError(kind)

    def _argument(self, depth: int) -> None:
        if self._take("L"):
            self._base62()
        elif self._take("K"):
            self._constant(depth)
        else:
            self.type(depth)

    def _constant(self, depth: int) -> None:
        if self._take("B"):
            self._back()
        elif not self._take("p"):
            self.type(depth)
            while self._next() != "_":
                pass

    def type(self, depth: int) -> str:
        if depth > _DEPTH:
            raise ValueError("too deep")
        kind = self._next()
        if kind in _BASIC:
            return _BASIC[kind]
        if kind in "AS":
            of = self.type(depth + 1)
            if kind == "A":
                self._constant(depth + 1)
            return f"[{of}]"
        if kind in "RQ":
            if self._take("L"):
                self._base62()
            return f"&{'mut ' if kind == 'Q' else ''}{self.type(depth + 1)}"
        if kind in "PO":
            return f"*{'const' if kind == 'P' else 'mut'} {self.type(depth + 1)}"
        if kind == "T":
            parts = []
            while not self._take("E"):
                parts.append(self.type(depth + 1))
            return f"({', '.join(parts)})"
        if kind == "B":
            return self._back().type(depth + 1)
        if kind in "FD":
            raise ValueError("function and trait object types are not needed")
        self.at -= 1
        return self.path(depth + 1)
