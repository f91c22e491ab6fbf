"""Everything that changes drgn from outside, or reaches into what drgn keeps private.

In reading order:

* ``table``: one row for each place, with the reason and what is lost without it.
* ``install``: the only code that puts rows in place or hands out private things. A row that
  does not fit the installed drgn is left out with one note; nothing else changes.
* ``imports``, ``packages``: modules of drgn's one by one, their rows as they are imported.
* ``replace``: the going round drgn's modules and command tables.

What the rows put in place:

* ``lists``, ``trees``, ``task_walks``, ``mounts``: walks that go on around damage.
* ``tasks``: finding tasks without the pid table.
* ``missing``: helpers whose result is only shown, and walks that end where memory is missing.
* ``bounds``: a look before drgn goes where it would not end.
* ``watchdog``: stopping walks of drgn's that never end.
* ``cpus``: which CPUs of a dead kernel count as online.
* ``stacks``, ``page_tables``: what drgn 0.3 lacks on arm64, riscv64 and s390x.
* ``backtrace``, ``source_lines``: arguments, stack addresses and source files in ``bt``.
* ``program_proxy``: running a command with a Program some of whose answers are ours; with it
  ``mod``, ``search`` and ``physical``.
* ``task_commands``, ``task_states``, ``task_letters``: ``ps``, ``foreach`` and their constraints.
* ``per_cpu``: a per-CPU variable named without a CPU.
* ``kmem``, ``pages``: tables of ``kmem`` whose lines stand alone, and are read in bulk.

Programs without a Session are not concerned, and only btfdbg's own command line installs
anything: for whoever imports btfdbg, drgn stays as it is.
"""
