"""Whether a report's lines are another one's too: two CPUs printed at once, without callers.

Owns the signs of it. Where a report began while another was still being read, nobody can tell
whose a line is once both go on, and a function that is named would be the other report's as
often as its own. With caller ids (CONFIG_PRINTK_CALLER) none of this is needed: text.py keeps
the reports apart.

Facts: kernel/panic.c (``__warn()`` takes no lock), kernel/watchdog.c, kernel/rcu/tree_stall.h;
only ``die()`` of an architecture lets one CPU print at a time. ``show_regs()`` and
``dump_stack_print_info()`` print each of their lines once.
"""

from __future__ import annotations

_ONCE = ("Modules linked in", "Hardware name: ", "sp : ", "pstate: ", "TASK>", "[ end trace")
# Marks inside a stack, and what comes after it: the frames that follow may be anybody's.
_NO_HEADINGS = ("end", "task", "regs", "stop", "irq", "nmi")


class Once:
    """
    Counts what a stack and its registers have once.

    >>> once = Once()
    >>> once.take("Hardware name: demo"); once.take("CPU: 1"); once.twice
    False
    >>> once.take("Hardware name: other"); once.twice
    True
    """

    __slots__ = ("_pc", "_seen", "begun", "twice")

    def __init__(self) -> None:
        self._seen: set[str] = set()
        self._pc = ""
        self.begun = False  # a heading came that frames follow
        self.twice = False

    def take(self, text: str) -> None:
        """Take a line of the report."""
        for word in _ONCE:
            if word in text:
                self.word("</" + word if "</" in text else word)

    def word(self, word: str) -> None:
        """Take a line that there is one of."""
        self.twice = self.twice or word in self._seen
        self._seen.add(word)

    def process(self, pid: int, told: int | None) -> None:
        """
        Take the line that says which process a CPU ran.

        :param told: The process that the report is about, if its first line says so.
        """
        # Every architecture says it before its registers and before the stack.
        late = bool(self._pc) or "trace" in self._seen or "Hardware name: " in self._seen
        self.twice = self.twice or late
        self.word("CPU: ")
        self.twice = self.twice or told not in (None, pid)

    def program_counter(self, function: str) -> None:
        """Take a register dump's function, "" for none, outside of a stack."""
        # The same one stands at the end of a report again.
        self.twice = self.twice or (bool(function) and self._pc not in ("", function))
        self._pc = function or self._pc

    def heading(self, name: str) -> None:
        """Take a line that says what the frames after it are."""
        if name in _NO_HEADINGS:
            return
        self.begun = True
        if name == "trace":
            self.word(name)
        elif name in ("cpu", "taskline", "kthread", "panic"):
            self._seen.clear()  # another process' lines come
            self._pc = ""

    def frame(self) -> None:
        """Take a frame: one before the heading of a stack is of another report's stack."""
        self.twice = self.twice or not self.begun
