"""What people type elsewhere, and what that is here: crash, gdb, drgn, and tools around them.

Owns the tables behind ``help crash``, ``help gdb`` and ``help drgn``, and the word that a refusal
adds. Data only. A test holds that every command named on the right side exists.

Facts: crash 9.0's ``help``; gdb manual, "Command Index"; drgn user guide; the extensions of
https://crash-utility.github.io/extensions.html by name.
"""

from __future__ import annotations

from btfdbg.lazy_dataclass import dataclass


@dataclass(frozen=True, slots=True)
class Row:
    """
    :ivar there: As it is typed there.
    :ivar here: As it is typed here; empty if there is nothing of the kind.
    :ivar note: What differs.
    """

    there: str
    here: str
    note: str = ""


def _same(*names: str) -> tuple[Row, ...]:
    return tuple(Row(name, name) for name in names)


CRASH: tuple[Row, ...] = (
    Row("*", "*", "the word may be left out: task_struct.pid ADDR"),
    *_same("alias", "ascii", "bpf"),
    Row("bt", "bt", "ctx shows registers and the stack of the crash in one view"),
    Row("btop", "btop"),
    *_same("dev", "dis"),
    Row("enum", "enum", "enum PIDTYPE_TGID finds the enum of a name"),
    Row("eval", "eval", "takes symbols and C as well"),
    Row("exit", "q", "or Ctrl-D"),
    Row("extend", "extend", "says how commands are added here"),
    *_same("files", "foreach"),
    Row("fuser", "fuser", "foreach files lists all open files"),
    Row("gdb", "gdb", "runs what has an equivalent here; see help gdb"),
    *_same("help", "ipcs", "irq"),
    Row("kmem", "kmem"),
    Row("list", "list", "of a function without options: its source (--source)"),
    Row("log", "log"),
    Row("mach", "mach", "info has the dump and where its parts are from"),
    *_same("mod", "mount", "net"),
    Row("p", "p", "C, or Python where it is no C; p/x as in gdb"),
    *_same("ps", "pte", "ptob", "ptov", "rd", "repeat", "runq"),
    Row("sbitmapq", "sbitmapq"),
    *_same("search", "set", "sig", "struct", "swap", "sym", "sys", "task", "timer", "tree"),
    *_same("union", "vm", "vtop", "waitq"),
    Row("whatis", "whatis", "with offsets and holes; xinfo says what an address is"),
    Row("wr", "", "a dump is only read"),
    Row("q", "q", "or Ctrl-D"),
    Row("!CMD", "!CMD"),
    Row("r, !!, h", "", "Ctrl-R searches the history, Up goes back in it"),
    Row("< FILE", "source FILE", "Python; commands: btfdbg CORE -i FILE"),
    Row("crash -i FILE", "btfdbg CORE -i FILE"),
    Row(".crashrc", "btfdbg CORE --crashrc", "~/.crashrc; never one of the current directory"),
)

GDB: tuple[Row, ...] = (
    Row("print EXPR, p/x EXPR", "p EXPR, p/x EXPR", "C, read only; no calls, no assignments"),
    Row("x/8gx ADDR, x/s, x/i", "x/8gx ADDR, x/s, x/i"),
    Row("ptype TYPE, whatis EXPR", "whatis TYPE", "with offsets and holes"),
    Row("ptype/o TYPE", "whatis TYPE"),
    Row("bt, backtrace, where", "bt", "bt -f with the words of the frames, bt -a of all CPUs"),
    Row("frame N, up, down", "frame N", "with the arguments, bound as Python names"),
    Row("info registers", "ctx"),
    Row("info locals, info args", "frame N"),
    Row("info threads", "ps", "all tasks; ps -A those on a CPU"),
    Row("thread apply all bt", "foreach bt"),
    Row("thread N", "set PID"),
    Row("info symbol ADDR", "sym ADDR"),
    Row("info address NAME", "sym NAME"),
    Row("info line NAME", "sym NAME", "the file; sources by --source"),
    Row("info functions PART", "sym -q PART"),
    Row("info variables PART", "sym -q PART"),
    Row("info types", "whatis TYPE", "Tab completes types"),
    Row("info sharedlibrary, files", "mod", "the modules; info says where symbols are from"),
    Row("list NAME", "list NAME", "with --source FOLDER"),
    Row("disassemble NAME", "dis NAME"),
    Row("find START, END, VALUE", "search -s START -e END VALUE"),
    Row("output EXPR, inspect EXPR", "p EXPR"),
    Row("dump memory FILE A B", "rd A -e B -r FILE"),
    Row("set var, call, print f()", "", "a dump is only read, and nothing in it runs"),
    Row("break, run, step, finish", "", "a dump does not run"),
    Row("lx-dmesg, lx-ps, lx-lsmod", "log, ps, mod"),
    Row("gdb vmlinux CORE", "btfdbg gdbserver CORE", "for gdb itself: a remote target"),
)

DRGN: tuple[Row, ...] = (
    Row("drgn -c CORE", "btfdbg CORE"),
    Row("drgn -k", "btfdbg -k"),
    Row("drgn -c CORE -e CODE", "btfdbg CORE -e CODE"),
    Row("drgn -c CORE SCRIPT", "btfdbg CORE SCRIPT"),
    Row("drgn -s vmlinux", "btfdbg -s vmlinux", "DWARF is used before BTF"),
    Row('prog["init_task"]', 'prog["init_task"]', "or: p init_task"),
    Row('prog.type("struct page")', 'prog.type("struct page")', "or: whatis struct page"),
    Row("find_task(prog, 1)", "find_task(prog, 1)", "all helpers are imported at the prompt"),
    Row("stack_trace(TASK)", "bt PID", "prog.stack_trace() is there as well"),
    Row("print_annotated_memory()", "tele ADDR"),
    Row("identify_address(ADDR)", "xinfo ADDR"),
    Row("slab_object_info(ADDR)", "xinfo ADDR"),
    Row("execscript(FILE)", "source FILE"),
    Row("%crash, crash CMD", "CMD", "crash's commands need no word in front"),
    Row("COMMAND --drgn", "COMMAND --drgn", "shows the code behind a command"),
    Row("import drgn (a script)", "import btfdbg", "btfdbg.program_from_core_dump(PATH)"),
)

TABLES = {"crash": CRASH, "gdb": GDB, "drgn": DRGN}

_OWN_CACHES = "crash's own caches; nothing here has them"

INTERNALS: dict[str, str] = {
    "a": "alias lists the aliases",
    "b": _OWN_CACHES,
    "B": "btfdbg --version says what this is",
    "c": _OWN_CACHES,
    "d": "dev lists the devices",
    "D": "info says what the dump holds",
    "e": "extend says how commands are added",
    "f": "mount lists filesystems, files what is open",
    "g": "gdb and help gdb say what there is of gdb's",
    "H": _OWN_CACHES,
    "k": "sys shows the kernel, info where its types and symbols are from",
    "K": "sys shows the kernel, info where its types and symbols are from",
    "L": _OWN_CACHES,
    "m": "mach shows the machine, vtop ADDR its page tables",
    "M": "mach shows the machine, vtop ADDR its page tables",
    "n": "info says what the dump holds",
    "N": "net lists the network devices",
    "o": "struct -o TYPE shows offsets, whatis TYPE sizes and holes",
    "p": "set -v shows the settings",
    "r": "ctx shows the registers, bt -a those of all CPUs",
    "s": "info says where symbols are from, sym -l lists them",
    "t": "ps lists the tasks",
    "T": "ps lists the tasks",
    "v": "kmem -n shows nodes and zones, mach -m the memory map",
    "V": "kmem -n shows nodes and zones, mach -m the memory map",
    "x": _OWN_CACHES,
    "z": "help lists the commands",
}
"""crash's ``help -LETTER``, which shows its own tables, to what shows the same of the dump."""

_NOTHING_RUNS = "a dump does not run; bt and ctx show where it stood"
_NOT_WRITTEN = "a dump is only read"

AT_GDB: dict[str, str] = {"set": _NOT_WRITTEN}
"""What stands for a word of gdb's that is a command of its own here."""

INSTEAD: dict[str, str] = {
    # crash
    "wr": _NOT_WRITTEN,
    "h": "Ctrl-R searches the history, Up goes back in it",
    "r": "Ctrl-R searches the history, Up goes back in it",
    # crash's extensions
    "crashinfo": "report says what happened and why",
    "taskinfo": "ps lists tasks, task PID shows one, bt its stack",
    "xportshow": "net shows devices, net -s PID sockets",
    "nfsshow": "mount lists mounts, files -R FILE who has one open",
    "scsishow": "dev -d lists disks",
    "hanginfo": "report -s blocked shows who waits for what",
    "runqinfo": "runq shows the run queues",
    "tslog": "log -T shows when",
    "epython": "the prompt itself is Python with drgn's helpers",
    "gcore": "vm PID shows the address space; files of it are not written",
    "trace": "the rings of ftrace are not read here; export-vmlinux makes a vmlinux for crash",
    # gdb
    "x": "x/4gx ADDR examines memory",
    "up": "frame N shows a frame and its arguments",
    "down": "frame N shows a frame and its arguments",
    "thread": "set PID chooses a task, foreach bt shows all stacks",
    "threads": "ps lists the tasks",
    "call": "nothing in a dump runs; whatis NAME shows a function",
    "find": "search -s START -e END VALUE looks through memory",
    "dump": "rd ADDR COUNT -r FILE writes memory to a file",
    "jump": _NOTHING_RUNS,
    "return": _NOTHING_RUNS,
    "start": _NOTHING_RUNS,
    "until": _NOTHING_RUNS,
    "advance": _NOTHING_RUNS,
    "kill": _NOTHING_RUNS,
    "detach": _NOTHING_RUNS,
    "step": _NOTHING_RUNS,
    "stepi": _NOTHING_RUNS,
    "next": _NOTHING_RUNS,
    "finish": _NOTHING_RUNS,
    "run": _NOTHING_RUNS,
    "display": "p EXPR prints a value",
    "break": _NOTHING_RUNS,
    "continue": _NOTHING_RUNS,
    "tbreak": _NOTHING_RUNS,
    "watch": _NOTHING_RUNS,
    "file": "types and symbols are read from the dump; -s FILE on the command line adds DWARF",
    "target": "btfdbg gdbserver CORE is a remote target for gdb",
    # pwndbg, gef
    "registers": "ctx -s registers shows those where it happened, bt -e those on the stack",
    "regs": "ctx -s registers shows those where it happened, bt -e those on the stack",
    "telescope": "tele ADDR",
    "context": "ctx",
    "vmmap": "vm PID",
    "hexdump": "rd -8 ADDR COUNT",
    "ks": "search VALUE",
    "kbase": "sym _text",
    "slab": "kmem -s",
    # the shell
    "ls": "!ls runs the shell's",
    "cd": "the shell's commands start with !, as in !ls",
    "cat": "!cat runs the shell's",
    "clear": "Ctrl-L clears the screen",
    "history": "Ctrl-R searches the history",
    "uname": "sys shows the kernel",
    "uptime": "sys shows it",
    "free": "kmem -i shows memory",
    "top": "ps -t shows times, runq who runs",
    "dmesg": "log",
    "lsof": "foreach files",
    "df": "mount",
    "vmstat": "kmem -V",
    "ss": "net -s PID",
    "netstat": "net -s PID",
}
"""An unknown word to what is typed instead."""

RUNS: dict[str, str] = {
    "print": "p",
    "p": "p",
    "inspect": "p",
    "output": "p",
    "whatis": "whatis",
    "ptype": "whatis",
    "bt": "bt",
    "backtrace": "bt",
    "where": "bt",
    "disassemble": "dis",
    "list": "list",
    "frame": "frame",
    "help": "help gdb",
    "info registers": "ctx",
    "info threads": "ps",
    "info symbol": "sym",
    "info address": "sym",
    "info line": "sym",
    "info functions": "sym -q",
    "info variables": "sym -q",
    "info sharedlibrary": "mod",
    "info files": "mod",
    "info frame": "frame",
    "info args": "frame",
    "info locals": "frame",
    "info types": "whatis",
    "thread apply all bt": "foreach bt",
}
"""A command of gdb's to the command here that takes what follows."""


def of_gdb(line: str) -> str | None:
    """
    The line here for a line of gdb's; ``None`` if there is none.

    >>> of_gdb("info symbol ffffffff81000000")
    'sym ffffffff81000000'
    """
    words = line.split()
    if words and (words[0].startswith(("x/", "p/")) or words[0] == "x"):
        return line if words[0] != "x" else f"x/1gx {' '.join(words[1:])}"
    if words and words[0].startswith(("print/", "output/")):
        return "p/" + line.split("/", 1)[1]
    for count in (4, 2, 1):
        key = " ".join(words[:count])
        if len(words) >= count and key in RUNS:
            return " ".join((RUNS[key], *words[count:]))
    return None
