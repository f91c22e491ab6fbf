"""The one error tree of btfdbg.

Every error is kin of a builtin, carries the data that a caller may want to act
on, and has a message that says what, where and what was expected. Nothing else
in the project defines an exception that crosses a folder.
"""

from __future__ import annotations

# A plain name, which type checkers take for typing's: that module takes 5 ms to import.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


class BtfdbgError(Exception):
    """Anything that btfdbg itself reports as wrong with its input."""


class BtfError(BtfdbgError):
    """Something is wrong with BTF data or with what was asked of it."""


class BtfFormatError(BtfError, ValueError):
    """
    The bytes are not the BTF they claim to be.

    :ivar offset: Byte offset in the blob at which the rule is broken, if known.
    :ivar type_id: The type that breaks it, if known.
    """

    def __init__(
        self, message: str, *, offset: int | None = None, type_id: int | None = None
    ) -> None:
        super().__init__(message)
        self.offset = offset
        self.type_id = type_id


class BtfNotFoundError(BtfError, LookupError):
    """A type, member or string that was asked for does not exist."""


class BtfRelocateError(BtfError, ValueError):
    """
    A distilled base does not fit the base it is relocated onto.

    :ivar name: First name that did not match.
    :ivar candidates: What was found under that name, in words.
    :ivar mismatches: Every name that did not match, each with the reason.
    """

    def __init__(
        self,
        message: str,
        *,
        name: str = "",
        candidates: Sequence[str] = (),
        mismatches: Sequence[str] = (),
    ) -> None:
        super().__init__(message)
        self.name = name
        self.candidates = tuple(candidates)
        self.mismatches = tuple(mismatches)


class ImageError(BtfdbgError, ValueError):
    """A file (ELF, kernel image, module, dump) cannot be read as what it is."""


class DebugInfoError(BtfdbgError):
    """
    A step of making a dump debuggable failed.

    :ivar step: Name of the step, as in ``btfdbg info``.
    :ivar hint: What the user can do about it.
    """

    def __init__(self, message: str, *, step: str = "", hint: str = "") -> None:
        super().__init__(message)
        self.step = step
        self.hint = hint


class RefusedError(DebugInfoError):
    """
    A name is there, or must be, and what would be said of it cannot be trusted.

    Not kin of LookupError: drgn takes that for the absence of the name, and concludes
    from it of which version or configuration the kernel is.
    """
