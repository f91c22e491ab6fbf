"""How long a table is, by what stands beside a pointer to it.

Owns the few structs that are known to hold a table and its length. All that lead to one table
have to say the same, and BTF has to have such an array: both are asked of the caller.

Facts: include/net/genetlink.h (``struct genl_split_ops``, ``genl_ops``, ``genl_family``: "maxattr:
maximum number of attributes supported", which the core accepts up to and looks up in ``policy``);
include/net/rtnetlink.h (``struct rtnl_link_ops``: "maxtype: Highest device specific netlink
attribute number"); include/linux/platform_device.h.
"""

from __future__ import annotations

import drgn

from btfdbg.lazy_pattern import pattern

_MAX_LENGTH = 1 << 16
# (struct, pointer): (the number beside it, what the length is more than that)
_COUNTS = {
    ("genl_split_ops", "policy"): ("maxattr", 1),
    ("genl_ops", "policy"): ("maxattr", 1),
    ("genl_family", "policy"): ("maxattr", 1),
    ("rtnl_link_ops", "policy"): ("maxtype", 1),
    ("rtnl_link_ops", "slave_policy"): ("slave_maxtype", 1),
    ("platform_device", "resource"): ("num_resources", 0),
}
_PATH = pattern(r"\w+(?:\[\d+\])?(?:\.\w+(?:\[\d+\])?)*")
_STEP = pattern(r"(\w+)(?:\[(\d+)\])?")


def length_beside(prog: drgn.Program, path: str) -> int | None:
    """
    The length of the table that a variable's member points to.

    :param path: ``devlink_nl_ops[3].policy``.
    :return: None if nothing beside the member says it.
    """
    holder, _, member = path.rpartition(".")
    if not holder or not _PATH.fullmatch(path):
        return None
    try:
        obj = _object(prog, holder)
        number, more = _COUNTS[obj.type_.unaliased().tag or "", member]
        length = int(obj.member_(number).value_()) + more
    except (LookupError, TypeError, AttributeError, drgn.FaultError):
        return None
    return length if 0 < length <= _MAX_LENGTH else None


def _object(prog: drgn.Program, path: str) -> drgn.Object:
    first, *rest = path.split(".")
    name, index = _parts(first)
    obj = prog[name]
    if index is not None:
        obj = obj[index]
    for step in rest:
        name, index = _parts(step)
        obj = obj.member_(name)
        if index is not None:
            obj = obj[index]
    return obj


def _parts(step: str) -> tuple[str, int | None]:
    found = _STEP.fullmatch(step)
    assert found is not None
    name, index = found.groups()
    return name, None if index is None else int(index)
