"""Hypothesis strategies: BTF of any shape, sound or not, and any damage to it."""

from __future__ import annotations

from hypothesis import strategies as st

from btfdbg.btf import TypeId, kinds

U32 = st.integers(0, 0xFFFFFFFF)
#: Any bytes without NUL are a name; str keeps undecodable ones as surrogates.
NAMES = st.one_of(
    st.sampled_from(["", "a", "int", "node", "x y", "it's", "(anon)", "\\", "\n", "ß"]),
    st.binary(max_size=6).map(lambda b: b.replace(b"\0", b"0").decode("utf-8", "surrogateescape")),
)
#: Mostly small, so that types refer to each other; cycles are as likely as not.
IDS = st.integers(0, 12).map(TypeId)
SIZES = st.integers(0, 64)
BOOLS = st.booleans()

_MEMBERS = st.one_of(
    st.lists(st.builds(kinds.Member, NAMES, IDS, U32), max_size=4),
    st.lists(
        st.builds(kinds.Member, NAMES, IDS, st.integers(0, 0xFFFFFF), st.integers(0, 255)),
        max_size=4,
    ),
).map(tuple)
_VALUES_U32 = st.lists(st.builds(kinds.Enumerator, NAMES, U32), max_size=4).map(tuple)
_VALUES_S32 = st.lists(
    st.builds(kinds.Enumerator, NAMES, st.integers(-(1 << 31), (1 << 31) - 1)), max_size=4
).map(tuple)
_VALUES_U64 = st.lists(
    st.builds(kinds.Enumerator, NAMES, st.integers(0, (1 << 64) - 1)), max_size=4
).map(tuple)
_VALUES_S64 = st.lists(
    st.builds(kinds.Enumerator, NAMES, st.integers(-(1 << 63), (1 << 63) - 1)), max_size=4
).map(tuple)
_PARAMS = st.lists(st.builds(kinds.Param, NAMES, IDS), max_size=4).map(tuple)
_VARS = st.lists(st.builds(kinds.VarSecinfo, IDS, U32, U32), max_size=4).map(tuple)
_BYTE = st.integers(0, 255)

TYPES: st.SearchStrategy[kinds.Type] = st.one_of(
    st.builds(kinds.Int, NAMES, SIZES, _BYTE, _BYTE, st.integers(0, 15)),
    st.builds(kinds.Ptr, IDS),
    st.builds(kinds.Array, IDS, IDS, U32),
    st.builds(kinds.Struct, NAMES, SIZES, _MEMBERS),
    st.builds(kinds.Union, NAMES, SIZES, _MEMBERS),
    st.builds(kinds.Enum, NAMES, SIZES, st.just(False), _VALUES_U32),
    st.builds(kinds.Enum, NAMES, SIZES, st.just(True), _VALUES_S32),
    st.builds(kinds.Enum64, NAMES, SIZES, st.just(False), _VALUES_U64),
    st.builds(kinds.Enum64, NAMES, SIZES, st.just(True), _VALUES_S64),
    st.builds(kinds.Fwd, NAMES, BOOLS),
    st.builds(kinds.Typedef, NAMES, IDS),
    st.builds(kinds.Volatile, IDS),
    st.builds(kinds.Const, IDS),
    st.builds(kinds.Restrict, IDS),
    st.builds(kinds.Func, NAMES, IDS, st.integers(0, 0xFFFFFF)),
    st.builds(kinds.FuncProto, IDS, _PARAMS),
    st.builds(kinds.Var, NAMES, IDS, U32),
    st.builds(kinds.Datasec, NAMES, SIZES, _VARS),
    st.builds(kinds.Float, NAMES, SIZES),
    st.builds(kinds.DeclTag, NAMES, IDS, st.integers(-(1 << 31), (1 << 31) - 1), BOOLS),
    st.builds(kinds.TypeTag, NAMES, IDS, BOOLS),
    st.builds(kinds.LocParam, U32, U32, st.lists(U32, max_size=4).map(tuple)),
    st.builds(kinds.LocProto, st.lists(IDS, max_size=4).map(tuple)),
    st.builds(
        kinds.Locsec,
        NAMES,
        st.lists(st.builds(kinds.LocsecEntry, IDS, IDS, U32), max_size=4).map(tuple),
    ),
)
#: Types of one BTF, referring to each other and to nothing.
GRAPHS = st.lists(TYPES, max_size=12)
#: Header length, layout section, byte order.
FORMS = st.tuples(st.sampled_from([24, 32]), BOOLS, st.sampled_from(["little", "big"]))
#: Where to damage a blob (a fraction of its length), and what to put there.
DAMAGE = st.lists(
    st.tuples(st.floats(0, 1, exclude_max=True), st.binary(min_size=0, max_size=4)), max_size=6
)


def damage(data: bytes, wounds: list[tuple[float, bytes]]) -> bytes:
    """Return data with bytes overwritten; an empty wound cuts it off there."""
    out = bytearray(data)
    for where, what in wounds:
        at = int(where * len(out))
        if what:
            out[at : at + len(what)] = what
        else:
            del out[at:]
    return bytes(out)
