"""The table of what btfdbg changes in drgn, or uses although it is private.

Owns the rows and nothing else: data, no code of drgn's or ours is imported. ``install`` reads
it; ``docs/drgn.md`` is made of it by ``python -m btfdbg.patches``. Whoever needs something
private of drgn's adds a row here, and gets it by ``install.reach()``.

Facts: drgn 0.3.0, the modules that the rows name; its documentation's chapter on environment
variables.
"""

from __future__ import annotations

import enum

from btfdbg.lazy_dataclass import dataclass


class Use(enum.Enum):
    """What is done with a row's target."""

    EVERYWHERE = "replaced wherever drgn holds it"
    IN_MODULE = "replaced in this module only"
    FOR_A_COMMAND = "replaced while one command runs"
    WATCHED = "its local variables are looked at while it runs"
    REACHED = "used as it is"
    IMPORTED = "imported for its effect"
    PUT_OFF = "its own code is run when something is asked for that is not there, or it is called"
    ENVIRONMENT = "variable of the environment"


@dataclass(frozen=True, slots=True)
class Row:
    """
    One place.

    :ivar module: drgn's module, as it is imported.
    :ivar name: What in it; ``Class.attribute`` for a class.
    :ivar patch: ``file:function`` in this package; the function gets drgn's and gives what
        takes its place. Empty if nothing does.
    :ivar parameters: Names of the function's parameters, which have to be these; of a watched
        function, its local variables. ``None`` is not checked: not Python's, or no function.
    :ivar why: What is wrong or missing in drgn.
    :ivar lost: What a user notices if the row is left out; a clause that follows "so".
    :ivar upstream: drgn issue or commit, ``docs/upstream.md`` where a report is prepared.
    :ivar stage: When it is installed: with drgn's ``helpers``, or with its ``commands``.
    """

    module: str
    name: str
    patch: str
    parameters: tuple[str, ...] | None
    why: str
    lost: str
    upstream: str = ""
    use: Use = Use.EVERYWHERE
    stage: str = "helpers"


_HELPERS = "drgn.helpers.linux."
CRASH = "drgn.commands._crash."
"""The package of drgn's crash commands; a module's name follows."""
_REPORT = "docs/upstream.md"


def _helper(
    module: str,
    name: str,
    parameters: tuple[str, ...] | None,
    patch: str,
    why: str,
    lost: str,
    upstream: str = "",
) -> Row:
    return Row(_HELPERS + module, name, patch, parameters, why, lost, upstream)


_FAULTS = "ends in an error at the first page that is missing"
_CIRCLES = "ends in an error at the first page that is missing, and does not end in a circle"

_WALKS = (
    _helper(
        "list", "list_for_each", ("head",), "lists:list_for_each",
        _CIRCLES + "; shows what a wrong pointer leads to",
        "a damaged list is shown up to the damage, or without end",
    ),
    _helper(
        "list", "list_for_each_reverse", ("head",), "lists:list_for_each_reverse",
        _CIRCLES + "; shows what a wrong pointer leads to",
        "a damaged list is shown up to the damage, or without end",
    ),
    _helper(
        "list", "hlist_for_each", ("head",), "lists:hlist_for_each", _CIRCLES,
        "a damaged hash list ends a command, or is shown without end",
    ),
    _helper(
        "xarray", "xa_for_each", ("xa", "advanced"), "trees:xa_for_each", _FAULTS,
        "a missing node of an XArray ends a command",
    ),
    _helper(
        "rbtree", "rbtree_inorder_for_each", ("root",), "trees:rbtree_inorder_for_each",
        _CIRCLES, "a damaged red-black tree ends a command, or is shown without end",
    ),
    _helper(
        "mapletree", "mt_for_each", ("mt", "advanced"), "trees:mt_for_each", _CIRCLES,
        "a damaged maple tree ends a command, or is walked without end",
    ),
    _helper(
        "mapletree", "_mte_to_node", ("prog", "entry_value", "max"), "trees:mte_to_node",
        "the one place where a walk of drgn's can be told that it was in a node before",
        "a maple tree that runs in a circle is walked without end",
    ),
    _helper(
        "pid", "for_each_task", ("prog", "ns", "idle"), "task_walks:for_each_task", _FAULTS,
        "tasks that a damaged pid table does not lead to are not found by other ways",
    ),
    _helper(
        "pid", "find_task", ("prog", "ns", "pid"), "task_walks:find_task", _FAULTS,
        "a task is not found by its number where the pid table is damaged",
    ),
    _helper(
        "fs", "for_each_mount", ("prog", "ns", "src", "dst", "fstype"), "mounts:for_each_mount",
        _FAULTS, "mounts that a damaged tree does not lead to are not found by superblocks",
    ),
)  # fmt: skip

_PARTIAL = "and what was found so far is lost with it"

_MISSING = (
    _helper(
        "fs", "for_each_file", ("task",), "missing:for_each_file", f"{_FAULTS}, {_PARTIAL}",
        "files ends at the first file that is missing",
    ),
    _helper(
        "irq", "for_each_irq_desc", ("prog",), "missing:for_each_irq_desc",
        f"{_FAULTS}, {_PARTIAL}", "irq ends at the first descriptor that is missing",
    ),
    _helper(
        "block", "for_each_disk", ("prog",), "missing:for_each_disk", f"{_FAULTS}, {_PARTIAL}",
        "dev -d ends at the first disk that is missing",
    ),
    _helper(
        "mm", "for_each_vma", ("mm",), "missing:for_each_vma", f"{_FAULTS}, {_PARTIAL}",
        "vm ends at the first memory area that is missing",
    ),
    _helper(
        "net", "for_each_netdev", ("prog", "net"), "missing:for_each_netdev",
        f"{_FAULTS}, {_PARTIAL}", "net ends at the first device that is missing",
    ),
    *(
        _helper(
            module, name, parameters, f"missing:{name}",
            "one page that is missing ends the whole table in an error",
            f"{command} ends where {name}() cannot be read",
        )
        for module, name, parameters, command in (
            ("fs", "mount_src", ("mnt",), "mount"),
            ("fs", "mount_dst", ("mnt",), "mount"),
            ("fs", "mount_fstype", ("mnt",), "mount"),
            ("fs", "d_path", ("arg1", "arg2"), "files"),
            ("fs", "decode_file_type", ("mode",), "files"),
            ("mm", "task_vsize", ("task",), "ps"),
            ("net", "netdev_ipv4_addrs", ("dev",), "net"),
            ("net", "netdev_ipv6_addrs", ("dev",), "net"),
        )
    ),
    _helper(
        "sched", "task_state_to_char", ("task",), "task_letters:task_state_to_char",
        "knows no state without the kernel's table of letters, which is data",
        "ps, foreach UN and the report know no task's state without CONFIG_KALLSYMS_ALL",
    ),
    _helper(
        "mm", "task_rss", ("prog", "task"), "missing:task_rss",
        "one page that is missing ends the whole table in an error; what threads share is"
        " summed again for each",
        "ps ends where task_rss() cannot be read; of 20,000 threads it takes 1.8 times as long",
    ),
)  # fmt: skip

_SUMS = (
    _helper(
        "percpu", "percpu_counter_sum", ("fbc",), "kmem:percpu_counter_sum", _FAULTS,
        "a counter is not known where one CPU's page is missing",
    ),
    _helper(
        "swap", "total_swapcache_pages", ("prog",), "kmem:total_swapcache_pages",
        "counts swap files by the length of an array, which BTF need not have",
        "kmem -i does not know the page cache of kernels before 5.12",
    ),
    _helper(
        "slab", "slab_cache_usage", ("slab_cache",), "slab_usage:slab_cache_usage",
        "counts as in use what another CPU has freed into a CPU's own slab",
        "kmem -s and the report say some more objects than are in use", _REPORT,
    ),
)  # fmt: skip

_UNBOUNDED = "goes on in C as long as what it reads is marked as a node; Ctrl-C cannot end it"

_BOUNDS = (
    _helper(
        "xarray", "_linux_helper_xa_load", None, "bounds:xa_load", _UNBOUNDED,
        "a lookup in an XArray that runs in a circle hangs", _REPORT,
    ),
    _helper(
        "idr", "_linux_helper_idr_find", None, "bounds:idr_find", _UNBOUNDED,
        "a lookup in an IDR that runs in a circle hangs", _REPORT,
    ),
    _helper(
        "pid", "_linux_helper_find_pid", None, "bounds:find_pid", _UNBOUNDED,
        "looking for a pid in a table that runs in a circle hangs", _REPORT,
    ),
    _helper(
        "pid", "_linux_helper_find_task", None, "bounds:find_task", _UNBOUNDED,
        "looking for a task in a table that runs in a circle hangs", _REPORT,
    ),
    Row(
        _HELPERS + "cpumask", "for_each_set_bit", "bounds:within_bitmap", ("bitmap", "size"),
        "reads nr_cpu_ids bits of a mask that may have fewer",
        "a wrong nr_cpu_ids makes a command read far behind a mask of CPUs",
        use=Use.IN_MODULE,
    ),
    Row(
        _HELPERS + "cpumask", "bitmap_weight", "bounds:within_bitmap", ("bitmap", "size"),
        "reads nr_cpu_ids bits of a mask that may have fewer",
        "a wrong nr_cpu_ids makes a command read far behind a mask of CPUs",
        use=Use.IN_MODULE,
    ),
    _helper(
        "printk", "_get_printk_records_lockless", ("prog", "prb"), "bounds:printk_records",
        "makes numbers of as many bits as the dump says", "a damaged log takes all memory",
    ),
    _helper(
        "net", "neigh_table_for_each_neighbor", ("table",), "bounds:neighbours",
        "goes over as many buckets as the dump says", "net -a never ends on a damaged table",
    ),
)  # fmt: skip

_REACHES_ONLINE = (
    "panic() takes the other CPUs offline, though they ran and their registers were saved"
)

_DEAD_CPUS = (
    _helper(
        "cpumask", "for_each_online_cpu", ("prog",), "cpus:for_each_online_cpu", _REACHES_ONLINE,
        "ps shows one swapper, foreach active one CPU, sums over CPUs miss all others", _REPORT,
    ),
    _helper(
        "cpumask", "num_online_cpus", ("prog",), "cpus:num_online_cpus", _REACHES_ONLINE,
        "sys calls CPUs offline that ran until the panic", _REPORT,
    ),
)  # fmt: skip

_STACKS = (
    _helper(
        "stack", "_classify_segment", ("task", "cpu", "frames"), "missing:classify_segment",
        "raises where the variable that holds a CPU's interrupt stack is missing, as in kernels"
        " whose kallsyms has functions only",
        "no task of such a kernel has a stack in bt",
    ),
    _helper(
        "stack", "kernel_stack_trace", ("prog", "task_arg"), "missing:kernel_stack_trace",
        "one task whose registers are lost ends a command over all tasks; no unwinder for riscv64",
        "foreach bt ends at the first stack that cannot be read, and riscv64 has none", _REPORT,
    ),
    _helper(
        "mm", "follow_phys", ("mm", "addr"), "page_tables:follow_phys",
        "not implemented for riscv64", "vtop does not work on riscv64", _REPORT,
    ),
    _helper(
        "mm", "_vmap_zone_size", ("prog",), "page_tables:vmap_zone_size",
        "divides by what clang made a byte that says which of two values it is",
        "ctx and rd -S end in a ZeroDivisionError on kernels built by clang", _REPORT,
    ),
    _helper(
        "mm", "decode_page_flags_value", ("prog", "flags"), "pages:decode_page_flags_value",
        "names a bit by all that it is called, whatever the page is used for",
        "vtop and kmem show a page's flag with other flags of the same bit beside it",
    ),
    Row(
        CRASH + "_bt", "_print_one_task", "backtrace:print_one_task",
        ("trace", "show_file_line", "drgn_style", "show_variables", "show_mem", "mem_annotate"),
        "frames found by frame pointers have no sp on arm64, and registers() no pc; no arguments"
        " without DWARF",
        "bt has no arguments, and on arm64 no stack addresses, words (-f) and pc of exceptions",
        _REPORT, use=Use.IN_MODULE, stage="commands",
    ),
    Row(
        CRASH + "_bt", "_print_frame", "source_lines:print_frame",
        ("prog", "index", "sp", "frame", "sp_width", "drgn_style", "show_file_line"),
        "names no source file without DWARF", "bt names no source files",
        use=Use.IN_MODULE, stage="commands",
    ),
    Row(
        CRASH + "_sym", "_print_symbols", "source_lines:print_symbols",
        ("prog", "symbols", "indent", "verbose"),
        "names no source file without DWARF", "sym names no source files",
        use=Use.IN_MODULE, stage="commands",
    ),
    Row(
        CRASH + "_bt", "_print_frame", "backtrace:print_frame",
        ("prog", "index", "sp", "frame", "sp_width", "drgn_style", "show_file_line"),
        "prints no arguments without DWARF, and where an interrupt's stack ends only below the"
        " entry code that left it",
        "bt has no arguments, and --- <IRQ stack> --- stands some frames too low",
        use=Use.IN_MODULE, stage="commands",
    ),
    Row(
        CRASH + "_bt", "print_registers", "stacks:print_registers", ("prog", "regs", "indent"),
        "prints R3 twice and R2 never on s390x; raises on riscv64",
        "bt shows no R2 on s390x, and fails at an exception on riscv64", _REPORT,
        use=Use.IN_MODULE, stage="commands",
    ),
)  # fmt: skip


def _command(
    module: str, name: str, parameters: tuple[str, ...], patch: str, why: str, lost: str,
    upstream: str = "",
) -> Row:  # fmt: skip
    return Row(CRASH + module, name, patch, parameters, why, lost, upstream, stage="commands")


_RUN = ("prog", "name", "args")

_COMMANDS = (
    *(
        _command(
            module, f"_crash_foreach_{name}", ("task_selector", "args", *more),
            f"task_commands:foreach_{name}",
            "ends at the first task that cannot be read",
            f"{name} and foreach {name} end at the first task that cannot be read",
        )
        for module, name, more in (
            ("_bt", "bt", ()), ("_fs", "files", ()), ("_ps", "ps", ()), ("_context", "set", ()),
            ("_sched", "sig", ()), ("_struct", "task", ()), ("_mm", "vtop", ("task_headers",)),
        )
    ),
    _command(
        "_mm", "_crash_foreach_vm", ("task_selector", "args"), "task_commands:foreach_vm",
        "ends at the first kernel thread, and at the first task that cannot be read",
        "foreach vm ends at the first kernel thread", _REPORT,
    ),
    _command(
        "common", "_TaskSelector.tasks", ("self",), "task_states:counted_tasks",
        "a constraint that matches no task prints nothing and succeeds",
        "a constraint that matches no task is not told", _REPORT,
    ),
    _command(
        "_ps", "_crash_cmd_foreach", ("prog", "name", "quoted_args", "parser"),
        "task_states:foreach", "knows no state by crash's name (UN, RU, IN)",
        "foreach UN bt finds nothing and does not say so", _REPORT,
    ),
    _command(
        "_ps", "_crash_cmd_ps", ("prog", "name", "quoted_args", "parser"), "task_states:ps",
        "a constraint that matches no task prints nothing and succeeds",
        "ps NAME does not say that no task has the name", _REPORT,
    ),
    Row(
        CRASH + "_ps", "for_each_online_cpu", "cpus:possible_instead", ("prog",),
        "asks for the clocks of online CPUs only, though a task may have run on another",
        "ps -m may end in a KeyError", _REPORT, use=Use.IN_MODULE, stage="commands",
    ),
    *(
        _command(
            module, f"_crash_cmd_{name}", _RUN, "cpus:over_tasks",
            "follows the NULL task of a CPU that was not brought up",
            f"{name} ends at a CPU that was not brought up", _REPORT,
        )
        for module, name in (("_bt", "bt"), ("_sched", "runq"))
    ),
    _command(
        "common", "Cpuspec.cpus", ("self", "prog"), "cpus:cpus_with_tasks",
        "gives CPUs that were not brought up to commands of tasks",
        "bt -a and runq end at a CPU that was not brought up", _REPORT,
    ),
    _command(
        "_rd", "_crash_cmd_rd", _RUN, "physical:rd",
        "rd -p reads virtual memory", "rd -p reads virtual memory", _REPORT,
    ),
    _command(
        "_mod", "_crash_cmd_mod", _RUN, "mod:mod",
        "enumerates modules in C, and allocates what their damaged sizes say",
        "mod is cut short by a damaged list of modules",
    ),
    Row(
        CRASH + "_mod", "print_table", "mod:print_table", None,
        'says "not loaded" of a module whose types come from elsewhere than a file',
        "mod calls modules not loaded whose types are known", use=Use.IN_MODULE, stage="commands",
    ),
    Row(
        CRASH + "_timer", "timer_base_for_each", "timers:by_expiry", ("base",),
        "lists a base's timers bucket by bucket", "timer is not sorted by when a timer expires",
        use=Use.IN_MODULE, stage="commands",
    ),
    Row(
        CRASH + "_mod", "_log_debug", "mod:log_debug", (),
        "lowers the level of drgn's log while mod -s looks for a file",
        "mod -s prints DEBUG lines that nobody asked for", use=Use.IN_MODULE, stage="commands",
    ),
    _command(
        "_sys", "_print_sys", ("prog", "system_fields", "context"), "system:print_sys",
        "says that a kernel is tainted, and not by what", "sys says TAINTED without by what",
    ),
    _command(
        "_kmem", "_kmem_info", ("prog", "drgn_arg"), "kmem:info",
        "one variable or page that is missing ends the whole table",
        "kmem -i shows nothing where one line cannot be known",
    ),
    _command(
        "_kmem", "_kmem_vmstat", ("prog", "drgn_arg"), "vm_stat:vm_stat",
        "one array of counters that is missing ends the whole table",
        "kmem -V shows nothing where one kind of counter cannot be known",
    ),
    _command(
        "_mm", "_crash_cmd_swap", _RUN, "kmem:swap",
        "one cell that cannot be read ends the whole table",
        "swap shows nothing where one cell cannot be known",
    ),
    _command(
        "_search", "_crash_cmd_search", (*_RUN, "parser"), "search:search",
        "ends at the first page that is missing, and does not say how far it is",
        "search ends at the first page that is missing",
    ),
    *(
        Row(
            CRASH + "_kmem", name, f"search:{name}", ("prog",),
            "takes minutes without a word", "kmem -p shows no progress", use=Use.IN_MODULE,
            stage="commands",
        )
        for name in ("for_each_page", "for_each_valid_pfn_and_page")
    ),
    Row(
        CRASH + "_kmem", "_kmem_pages", "pages:kmem_pages",
        ("prog", "drgn_arg", "members", "identified"),
        "asks five objects of each page, and ends at the first that is missing",
        "kmem -p of all pages takes ten times as long", use=Use.IN_MODULE, stage="commands",
    ),
    _command(
        "_eval", "_crash_cmd_p", _RUN, "per_cpu:p",
        "prints the template of a per-CPU variable, which no CPU uses",
        "p of a per-CPU variable needs a CPU (p NAME:a) to be right", _REPORT,
    ),
    _command(
        "_struct", "_crash_cmd_struct", ("prog", "kind", "args"), "per_cpu:struct",
        "prints the template of a per-CPU variable, which no CPU uses",
        "struct of a per-CPU variable needs a CPU (NAME:a) to be right", _REPORT,
    ),
    _command(
        "_struct", "_crash_cmd_struct", ("prog", "kind", "args"), "homonyms:struct",
        "takes the first type of a name without a word",
        "struct and union do not tell types of one name apart",
    ),
    _command(
        "_rd", "_crash_cmd_rd", _RUN, "per_cpu:rd",
        "reads the template of a per-CPU variable, which no CPU uses",
        "rd of a per-CPU variable reads memory that no CPU uses", _REPORT,
    ),
)  # fmt: skip


def _watched(module: str, name: str, *variables: str) -> Row:
    file = module.rpartition(".")[2]
    return Row(
        module, name, "", variables or None,
        "goes on as long as the dump's pointers lead on",
        f"a circle in {file}'s {name}() is not noticed", _REPORT,
        use=Use.WATCHED, stage="commands",
    )  # fmt: skip


_WATCHED = (
    _watched(_HELPERS + "list_nulls", "hlist_nulls_for_each_entry", "pos"),
    _watched(_HELPERS + "llist", "llist_for_each", "pos"),
    _watched(_HELPERS + "device", "for_each_registered_chrdev", "cd", "probe"),
    _watched(_HELPERS + "device", "for_each_registered_blkdev", "name"),
    _watched(_HELPERS + "net", "netdev_ipv4_addrs", "ifa"),
    _watched(_HELPERS + "net", "neigh_table_for_each_neighbor", "neigh"),
    _watched(_HELPERS + "irq", "irq_desc_action_names", "action"),
    _watched(_HELPERS + "ioport", "for_each_resource", "child"),
    _watched(_HELPERS + "mm", "for_each_vma", "vma"),
    _watched(_HELPERS + "kernfs", "kernfs_path", "kn", "root_kn"),
    _watched(_HELPERS + "fs", "super_block_for_each_mount", "mount"),
    _watched(_HELPERS + "fs", "dentry_path", "dentry"),
    _watched(_HELPERS + "fs", "d_path", "dentry", "mnt"),
    _watched(_HELPERS + "xarray", "xa_for_each", "stack"),
    _watched(CRASH + "_ps", "_ps_parents", "task"),
    _watched(_HELPERS + "rbtree", "rb_first"),
    _watched(_HELPERS + "rbtree", "rb_last"),
    _watched(_HELPERS + "rbtree", "rb_next"),
    _watched(_HELPERS + "rbtree", "rb_prev"),
    _watched(_HELPERS + "rbtree", "rb_find"),
    _watched(_HELPERS + "mapletree", "mtree_load"),
    _watched(_HELPERS + "cgroup", "css_next_descendant_pre"),
    _watched(_HELPERS + "fs", "_follow_mount"),
    _watched(_HELPERS + "fs", "_follow_dotdot"),
    _watched(_HELPERS + "kernfs", "_kernfs_follow_symlink"),
)


def _reached(
    module: str, name: str, why: str, lost: str, parameters: tuple[str, ...] | None = None
) -> Row:
    return Row(module, name, "", parameters, why, lost, use=Use.REACHED, stage="use")


_REACHED = (
    Row(
        "drgn.commands._builtin", "", "", None, "registers sh, py and source",
        "sh, py and source are not there", use=Use.IMPORTED, stage="use",
    ),
    Row(
        "drgn.commands._crash", "", "", None, "registers drgn's crash commands",
        "drgn's crash commands (bt, ps, struct, …) are not there", use=Use.IMPORTED, stage="use",
    ),
    Row(
        "drgn.helpers.linux", "", "", None,
        "imports every helper, which takes 1.5 times the instructions of importing drgn",
        "a command imports every helper", use=Use.PUT_OFF, stage="use",
    ),
    Row(
        "drgn.commands._crash", "", "", None,
        "imports every command, which takes as many instructions as all helpers",
        "a command imports every command", use=Use.PUT_OFF, stage="use",
    ),
    Row(
        "drgn.internal.sudohelper", "open_via_sudo", "", None,
        "imports pickle, socket and tempfile for a file that is opened as another user",
        "bt takes 4 ms longer", use=Use.PUT_OFF, stage="use",
    ),
    _reached(
        CRASH + "common", "parse_cpuspec", "reads 1,3-5",
        "p takes no CPUs behind a colon, bt -t and kmem -S no CPUs", ("spec",),
    ),
    _reached(
        CRASH + "common", "crash_get_context", "gives the current task",
        "p -u and struct -u cannot read a task's memory; vtop, search -u and ipcs -M are not there",
        ("prog", "arg"),
    ),
    _reached(
        CRASH + "common", "CRASH_COMMAND_NAMESPACE", "has drgn's crash commands",
        "drgn's crash commands (bt, ps, struct, …) are not there",
    ),
    *(
        _reached(CRASH + "common", name, why, "options of crash that drgn lacks are not there")
        for name, why in (
            ("_TaskSelector", "gives the tasks that a command is about"),
            ("print_task_header", "prints the line above what is shown of a task"),
            ("_crash_foreach_subcommand", "registers what foreach runs"),
            ("_resolve_addr_or_sym", "gives the address of a symbol or number"),
        )
    ),
    _reached(
        _HELPERS + "slab", "for_each_page", "goes through all pages for each slab cache",
        "kmem -S is not there",
    ),
    _reached(
        "drgn.commands", "CommandNamespace._commands", "has what commands run",
        "the commands that btfdbg mends are drgn's own",
    ),
    _reached(
        "drgn.commands", "_ArgparseCommand._argparse_func", "is what a command runs",
        "the commands that btfdbg mends are drgn's own",
    ),
    _reached(
        "drgn.commands", "_CustomCommand._func", "is what a command runs",
        "ps and foreach are drgn's own",
    ),
    _reached(
        CRASH + "common", "_CRASH_FOREACH_SUBCOMMANDS", "has what foreach runs",
        "foreach ends at the first task that cannot be read",
    ),
    _reached(
        "drgn.commands", "_CustomCommand._parser", "knows a command's options",
        "drgn's commands have no --help, and their options are not completed",
    ),
    _reached(
        "drgn.helpers.common.format", "CellFormat._value", "has a cell of a table as a value",
        "--json of drgn's tables has text instead of numbers",
    ),
    _reached(
        CRASH + "_ps", "print_table", "prints the table of ps, which is kept back while it runs",
        "ps ends at the first task that cannot be read", ("rows", "sep", "file"),
    ),
    _reached(
        CRASH + "_ps", "_ps_arguments", "is what ps -a runs",
        "ps -a says twice for each task that a page is not in the dump",
        ("task_selector", "drgn_arg"),
    ),
    _reached(
        CRASH + "_kmem", "_print_table_row", "prints a row of kmem -p; --json takes it over",
        "kmem -p of all pages is drgn's own",
    ),
    _reached(
        CRASH + "_kmem", "_print_pages_members", "prints members of pages",
        "kmem -m of all pages ends at the first that is not in the dump",
    ),
    _reached(
        "drgn.helpers.common.format", "print_table", "prints tables; --json takes them over",
        "--json of drgn's tables has text instead of rows", ("rows", "sep", "file"),
    ),
    _reached(
        _HELPERS + "mapletree", "_ulong_max", "is where the range of a maple tree ends",
        "a damaged maple tree ends a command", ("prog",),
    ),
    _reached(
        _HELPERS + "sched", "_TASK_STATE_CHAR_TO_STATE", "has the states that foreach knows",
        "foreach knows no state by crash's name",
    ),
)  # fmt: skip

_ENVIRONMENT = tuple(
    Row("os.environ", name, "", None, why, lost, use=Use.ENVIRONMENT, stage="use")
    for name, why, lost in (
        (
            "DRGN_DISABLE_PLUGINS",
            "importlib.metadata takes twice as long as opening a dump (program/plugins.py)",
            "opening a dump takes 0.1 s longer",
        ),
        (
            "DRGN_PREFER_PGTABLE_READER",
            "libkdumpfile walks page tables unseen (trim/recorder.py)",
            "trim cannot record the page tables of a kdump file",
        ),
        (
            "DRGN_USE_LIBKDUMPFILE_FOR_ELF",
            "drgn maps the segments of an ELF core unseen (trim/recorder.py)",
            "trim cannot record what is read of an ELF core",
        ),
    )
)

ROWS: tuple[Row, ...] = (
    *_WALKS,
    *_MISSING,
    *_SUMS,
    *_BOUNDS,
    *_DEAD_CPUS,
    *_STACKS,
    *_COMMANDS,
    *_WATCHED,
    *_REACHED,
    *_ENVIRONMENT,
)
"""All of them; those of one function are installed in this order, the last outermost."""
