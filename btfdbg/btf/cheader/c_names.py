"""What may be a name in C, and what C23 names of itself.

Owns the keywords and the identifier that stands for a name that is none.

Facts: ISO C23 6.4.1 (keywords), gcc's and clang's own keywords.
"""

from __future__ import annotations

from btfdbg.btf.btf import Btf
from btfdbg.btf.cheader.macros import OWN
from btfdbg.btf.fields import INFO, NAME_OFF, SIZE_OR_TYPE, int_fields
from btfdbg.btf.layouts import ENUM, INT, LAYOUTS, TYPE_WORDS, TYPEDEF, info_kind
from btfdbg.errors import BtfFormatError

#: What no name in a header may be: keywords of C up to C23, what compilers add, and what
#: the header itself asks for. Macros that compilers define are in ``macros``.
KEYWORDS = OWN.union(
    {
        "_Accum",
        "_Alignas",
        "_Alignof",
        "_Atomic",
        "_BitInt",
        "_Bool",
        "_Complex",
        "_Countof",
        "_Decimal128",
        "_Decimal32",
        "_Decimal64",
        "_Float128",
        "_Float128x",
        "_Float16",
        "_Float32",
        "_Float32x",
        "_Float64",
        "_Float64x",
        "_Fract",
        "_Generic",
        "_Imaginary",
        "_Nonnull",
        "_Noreturn",
        "_Null_unspecified",
        "_Nullable",
        "_Pragma",
        "_Sat",
        "_Static_assert",
        "_Thread_local",
        "__BASE_FILE__",
        "__COUNTER__",
        "__DATE__",
        "__FILE_NAME__",
        "__FILE__",
        "__FUNCTION__",
        "__INCLUDE_LEVEL__",
        "__LINE__",
        "__NSConstantString",
        "__PRETTY_FUNCTION__",
        "__TIMESTAMP__",
        "__TIME__",
        "__alignof",
        "__alignof__",
        "__arm_streaming",
        "__asm",
        "__asm__",
        "__attribute",
        "__attribute__",
        "__auto_type",
        "__bf16",
        "__builtin_assoc_barrier",
        "__builtin_bit_cast",
        "__builtin_call_with_static_chain",
        "__builtin_choose_expr",
        "__builtin_complex",
        "__builtin_convertvector",
        "__builtin_has_attribute",
        "__builtin_ms_va_list",
        "__builtin_offsetof",
        "__builtin_shuffle",
        "__builtin_shufflevector",
        "__builtin_tgmath",
        "__builtin_types_compatible_p",
        "__builtin_va_arg",
        "__cdecl",
        "__complex",
        "__complex__",
        "__const",
        "__const__",
        "__extension__",
        "__fastcall",
        "__float128",
        "__fp16",
        "__func__",
        "__funcref",
        "__has_attribute",
        "__has_builtin",
        "__has_c_attribute",
        "__has_cpp_attribute",
        "__has_declspec_attribute",
        "__has_embed",
        "__has_extension",
        "__has_feature",
        "__has_include",
        "__has_include_next",
        "__has_warning",
        "__ibm128",
        "__ieee128",
        "__imag",
        "__imag__",
        "__inline",
        "__inline__",
        "__int128",
        "__int128_t",
        "__is_identifier",
        "__label__",
        "__mfp8",
        "__module_private__",
        "__null",
        "__nullptr",
        "__pascal",
        "__private_extern__",
        "__real",
        "__real__",
        "__regcall",
        "__restrict",
        "__restrict__",
        "__seg_fs",
        "__seg_gs",
        "__signed",
        "__signed__",
        "__stdcall",
        "__thiscall",
        "__thread",
        "__transaction_atomic",
        "__transaction_cancel",
        "__transaction_relaxed",
        "__typeof",
        "__typeof__",
        "__typeof_unqual",
        "__typeof_unqual__",
        "__uint128_t",
        "__vectorcall",
        "__volatile",
        "__volatile__",
        "alignas",
        "alignof",
        "asm",
        "auto",
        "bool",
        "break",
        "case",
        "char",
        "const",
        "constexpr",
        "continue",
        "default",
        "do",
        "double",
        "else",
        "enum",
        "extern",
        "false",
        "float",
        "for",
        "goto",
        "if",
        "inline",
        "int",
        "long",
        "nullptr",
        "register",
        "restrict",
        "return",
        "short",
        "signed",
        "sizeof",
        "static",
        "static_assert",
        "struct",
        "switch",
        "thread_local",
        "true",
        "typedef",
        "typeof",
        "typeof_unqual",
        "union",
        "unsigned",
        "void",
        "volatile",
        "while",
    }
)
_BOOLEANS = {"false": 0, "true": 1}
_BOOL = 4  # an INT's encoding


def c_name(name: str) -> str:
    """
    Return a C identifier for any name; the name itself if it is one.

    Letters of other alphabets are letters to gcc 10, clang and C23, too.
    """
    out = "".join([c if ("a" + c).isidentifier() else "_" for c in name])
    if out[:1].isdigit():
        out = "_" + out
    return out + "_" if out in KEYWORDS else out


def is_boolean(btf: Btf, type_id: int) -> bool:
    """
    Return whether a type is what C23 has of itself: ``bool``, or ``false`` and ``true``.

    ``definitions`` writes these for older compilers only. Each kernel has both: its words are
    read, so that nothing else has to be loaded for them.
    """
    words = btf.record(type_id)
    kind, name = info_kind(words[INFO]), btf.string(words[NAME_OFF])
    if kind == TYPEDEF and name == "bool":
        target = words[SIZE_OR_TYPE]
        if btf.kind_of(target) != INT:
            return False
        return bool(int_fields(btf.record(target)[TYPE_WORDS])[2] & _BOOL)
    if kind != ENUM or name:
        return False
    names, values = words[TYPE_WORDS::2], words[TYPE_WORDS + 1 :: 2]
    return dict(zip(map(btf.string, names), values, strict=True)) == _BOOLEANS


def require_bounded_names(btf: Btf) -> None:
    """
    Make sure that the names of all types together are of a size to work with.

    :raises BtfFormatError: many refer to long strings, or to their tails.
    """
    left = (1 << 20) + 64 * sum(len(level.raw) for level in btf.chain())
    for level in btf.chain():
        for index, kind in enumerate(level.own_kinds()):
            row = LAYOUTS.get(kind)
            start, end = level.offsets[index], level.record_end(level.start_id + index)
            names = [level.words[start]]
            for at in row.elem_str_words if row is not None else ():
                assert row is not None
                names += level.words[
                    start + TYPE_WORDS + row.info_words + at : end : row.elem_words
                ]
            for offset in names:
                if offset:
                    left -= _length(btf, offset)
            if left < 0:
                raise BtfFormatError("the names of these types are too much larger than they are")


def _length(btf: Btf, offset: int) -> int:
    level = btf
    while offset < level.start_str_off and level.base is not None:
        level = level.base
    at = offset - level.start_str_off
    return level.strings.data.find(b"\0", at) - at if at < len(level.strings) else 0
