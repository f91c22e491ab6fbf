"""Variables that kernel macros make, and whose names say their type.

Owns a table of facts about the kernel's own macros; the families that are learned from
data are in :mod:`.families`. A rule only proposes: whether the type exists in this
kernel and fits the symbol is checked by whoever asked.

Facts: include/linux/static_call_types.h, include/linux/tracepoint.h,
include/trace/bpf_probe.h, include/trace/trace_events.h, include/linux/syscalls.h,
include/linux/moduleparam.h, include/linux/init.h, include/linux/compiler.h.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType

from btfdbg.lazy_dataclass import dataclass
from btfdbg.lazy_pattern import pattern


@dataclass(frozen=True, slots=True)
class Rule:
    """
    :ivar prefix: what the names start with.
    :ivar type: type text; ``{}`` stands for the rest of the name.
    :ivar companion: prefix that another symbol with the same rest must have.
    :ivar length: length of an outermost array, from the rest of the name.
    :ivar elsewhere: the type on machines (``uname -m``) where it is another one.
    """

    prefix: str
    type: str
    companion: str = ""
    length: Callable[[str], int] | None = None
    elsewhere: Mapping[str, str] = MappingProxyType({})


def _string(rest: str) -> int:
    return len(rest) + 1


# __moduleparam_const is empty there: relocated data cannot be in a read-only section.
_NOT_CONST = MappingProxyType(
    dict.fromkeys(("ppc64", "ppc64le", "alpha"), "ro struct kernel_param")
)

RULES = (
    Rule("__SCK__", "struct static_call_key"),
    # Tracepoints with extended registration functions (from v6.13 on) have both.
    Rule("__tracepoint_ext_", "struct tracepoint_ext"),
    # Where pointers are not relative (CONFIG_HAVE_ARCH_PREL32_RELOCATIONS is off).
    Rule("__tracepoint_ptr_", "tracepoint_ptr_t"),
    Rule("__tracepoint_", "struct tracepoint"),
    Rule("__tpstrtab_", "const char []", length=_string),
    Rule(
        "__bpf_trace_tp_map_",
        "union { struct bpf_raw_event_map event; btf_trace_{} handler; }",
    ),
    Rule("trace_event_fields_", "struct trace_event_fields []"),
    Rule("trace_event_type_funcs_", "struct trace_event_functions"),
    Rule("event_class_", "struct trace_event_class"),
    Rule("print_fmt_", "char []"),
    Rule("__event_", "struct trace_event_call *"),
    Rule("event_enter__", "struct trace_event_call"),
    Rule("event_exit__", "struct trace_event_call"),
    Rule("event_", "struct trace_event_call", companion="__event_"),
    Rule("__syscall_meta__", "struct syscall_metadata"),
    Rule("__p_syscall_meta__", "struct syscall_metadata *"),
    Rule("TRACE_SYSTEM_", "struct trace_eval_map *", companion="__TRACE_SYSTEM_"),
    Rule("__TRACE_SYSTEM_", "struct trace_eval_map"),
    Rule("security_hook_active_", "struct static_key_false"),
    Rule("__param_ops_", "const struct kernel_param_ops"),
    Rule("__param_arr_", "const struct kparam_array"),
    Rule("__param_string_", "const struct kparam_string"),
    Rule("__param_str_", "const char []"),
    Rule(
        "__param_",
        "const struct kernel_param",
        companion="__param_str_",
        elsewhere=_NOT_CONST,
    ),
    Rule("__setup_str_", "const char []"),
    Rule("__setup_", "struct obs_kernel_param", companion="__setup_str_"),
    Rule("__UNIQUE_ID_addressable_", "void *"),
    Rule("__UNIQUE_ID___addressable_", "void *"),
    Rule("__UNIQUE_ID_modinfo_", "const char []"),
    Rule("__UNIQUE_ID___earlycon_", "const struct earlycon_id"),
    Rule("__func__.", "const char []"),
    Rule("__this_module", "struct module"),
    Rule("__already_done.", "bool"),
)

EXPORT = "__ksymtab_"
"""What the rows of the table of exported symbols are called; a kernel has 10,000."""

# Writable, and yet strings that nobody changes: their length is that of the text.
_STRINGS = ("print_fmt_",)

# As many elements as the system call has arguments, and no NULL among them.
_FIXED = ("types__", "args__")

# Arrays that are declared as long as an enumerator says: contents prove nothing of those that
# are mostly zeros, or grow with every kernel. "__X_MAX" stands for the kernel's "X_MAX + 1".
_COUNTS = {
    "node_states": "NR_NODE_STATES",
    # net/ipv4/fib_frontend.c, net/ipv6/route.c: [RTA_MAX + 1], in rows that are mostly zeros.
    "rtm_ipv4_policy": "__RTA_MAX",
    "rtm_ipv6_policy": "__RTA_MAX",
    "softirq_vec": "NR_SOFTIRQS",
    "vm_node_stat": "NR_VM_NODE_STAT_ITEMS",
    "vm_numa_event": "NR_VM_NUMA_EVENT_ITEMS",
    "vm_numa_stat": "NR_VM_NUMA_STAT_ITEMS",
    "vm_zone_stat": "NR_VM_ZONE_STAT_ITEMS",
    # arch/x86/kernel/fpu/xstate.c, arch/x86/mm/pat/set_memory.c
    "direct_pages_count": "PG_LEVEL_NUM",
    "xstate_flags": "XFEATURE_MAX",
    "xstate_offsets": "XFEATURE_MAX",
    "xstate_sizes": "XFEATURE_MAX",
    # crypto/hash_info.c, lib/nlattr.c
    "hash_algo_name": "HASH_ALGO__LAST",
    "hash_digest_size": "HASH_ALGO__LAST",
    "nla_attr_len": "__NLA_TYPE_MAX",
    "nla_attr_minlen": "__NLA_TYPE_MAX",
    # mm/page_alloc.c, mm/mm_init.c (kernel/bounds.c has the enumerator), mm/memcontrol.c
    "arch_zone_highest_possible_pfn": "__MAX_NR_ZONES",
    "arch_zone_lowest_possible_pfn": "__MAX_NR_ZONES",
    "sysctl_lowmem_reserve_ratio": "__MAX_NR_ZONES",
    "mem_cgroup_events_index": "NR_VM_EVENT_ITEMS",
    "mem_cgroup_stats_index": "MEMCG_NR_STAT",
    # net/core/neighbour.c, net/sched/, net/ipv4/{devinet,ipmr}.c, net/ipv6/addrconf.c
    "devconf_ipv4_policy": "__NETCONFA_MAX",
    "devconf_ipv6_policy": "__NETCONFA_MAX",
    "ifa_ipv4_policy": "__IFA_MAX",
    "ifa_ipv6_policy": "__IFA_MAX",
    "nda_policy": "__NDA_MAX",
    "rtm_ipmr_policy": "__RTA_MAX",
    "rtm_tca_policy": "__TCA_MAX",
    # net/ethtool/
    "ethnl_default_notify_ops": "__ETHTOOL_MSG_KERNEL_CNT",
    "ethnl_default_requests": "__ETHTOOL_MSG_USER_CNT",
    "netdev_features_strings": "NETDEV_FEATURE_COUNT",
    "phy_tunable_strings": "__ETHTOOL_PHY_TUNABLE_COUNT",
    "rss_hash_func_strings": "ETH_RSS_HASH_FUNCS_COUNT",
    "stats_eth_ctrl_names": "__ETHTOOL_A_STATS_ETH_CTRL_CNT",
    "stats_eth_mac_names": "__ETHTOOL_A_STATS_ETH_MAC_CNT",
    "stats_eth_phy_names": "__ETHTOOL_A_STATS_ETH_PHY_CNT",
    "stats_rmon_names": "__ETHTOOL_A_STATS_RMON_CNT",
    "stats_std_names": "__ETHTOOL_STATS_CNT",
    "tunable_strings": "__ETHTOOL_TUNABLE_COUNT",
}
# Arrays that are declared as long as another by a macro, of which a configuration makes a number.
# mm/swap_state.c, MAX_SWAPFILES.
_AS_LONG_AS = {"nr_swapper_spaces": "swapper_spaces"}

_BY_HEAD: dict[str, tuple[Rule, ...]] = {}
for _rule in RULES:
    _head = _rule.prefix[:4]
    _BY_HEAD[_head] = (*_BY_HEAD.get(_head, ()), _rule)

_EARLY = "_early_ptr"
_DOT_NUMBER = pattern(r"\.\d+$")


def may_be_made(name: str) -> bool:
    """Whether a name begins as one of a macro's; hardly any does."""
    return name[:4] in _BY_HEAD


def propose(name: str, exists: Callable[[str], bool], machine: str = "") -> Iterator[str]:
    """
    Yield the types that the kernel's macros would give a name, the most specific first.

    :param exists: whether this kernel has a symbol of a name.
    :param machine: the architecture, as ``uname -m`` prints it.
    """
    for rule in _BY_HEAD.get(name[:4], ()):
        if not name.startswith(rule.prefix):
            continue
        rest = name[len(rule.prefix) :]
        if rule.companion and not exists(rule.companion + rest):
            continue
        text = rule.elsewhere.get(machine, rule.type).replace("{}", _DOT_NUMBER.sub("", rest))
        if rule.length is not None:
            text = text.replace("[]", f"[{rule.length(rest)}]")
        yield text


def has_type_of_its_own(name: str) -> bool:
    """
    Whether a name says a type that no other variable has.

    Where the kernel's BTF lacks it, those of its kin and of what points to it are others.
    """
    rules = _BY_HEAD.get(name[:4], ())
    return any("{}" in rule.type and name.startswith(rule.prefix) for rule in rules)


def is_export(name: str) -> bool:
    """
    Whether a name is that of a row in the table of exported symbols.

    The rest of it is the exported symbol's, whose kin say nothing of the row
    (include/linux/export.h, ``__EXPORT_SYMBOL()``).
    """
    return name.startswith(EXPORT)


def is_string(name: str) -> bool:
    """Whether a ``char`` array of this name holds a string and nothing more."""
    return name.startswith(_STRINGS)


def is_fixed(name: str) -> bool:
    """Whether an array of this name hardly ever changes its length."""
    return name.startswith(_FIXED)


def syscall_of(name: str) -> str | None:
    """
    Return the name of the metadata of the system call that an array has the arguments of.

    Source: include/linux/syscalls.h, ``SYSCALL_METADATA()``.
    """
    for prefix in _FIXED:
        if name.startswith(prefix):
            return f"__syscall_meta__{name[len(prefix) :]}"
    return None


def counting_enumerator(name: str) -> str | None:
    """Return the enumerator whose value is the length of an array of this name."""
    return _COUNTS.get(name)


def as_long_as(name: str) -> str | None:
    """Return the array that one of this name is as long as, by their declarations."""
    return _AS_LONG_AS.get(name)


def is_per_cpu_table(name: str) -> bool:
    """
    Whether an array has one element for each CPU that the kernel was built for.

    Only one that drgn cannot do without: it takes a kernel in which
    ``__per_cpu_offset`` has no type for one without SMP.
    """
    return name == "__per_cpu_offset"


def early_copy_of(name: str) -> str | None:
    """
    Return the per-CPU variable that a name's variable points to early copies of.

    Source: arch/x86/include/asm/percpu.h, ``DEFINE_EARLY_PER_CPU()`` declares both of one type.
    """
    return name.removesuffix(_EARLY) if name.endswith(_EARLY) else None


def by_size(name: str, size_of: Callable[[str], int | None]) -> str | None:
    """
    Return the type of a variable that is sized by another type.

    Source: include/linux/cpumask.h, ``cpu_bit_bitmap[BITS_PER_LONG+1][BITS_TO_LONGS(NR_CPUS)]``.

    :param size_of: size of a named type in bytes, None without it.
    """
    if name != "cpu_bit_bitmap":
        return None
    word, mask = size_of("unsigned long"), size_of("struct cpumask")
    if not word or not mask:
        return None
    return f"const unsigned long [{8 * word + 1}][{mask // word}]"
