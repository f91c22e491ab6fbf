"""
What DWARF says about a dump: answers, recorded to be compared with later.

``record`` opens a dump in drgn with the kernel's own debug files and writes
down types, variables, stack traces and the output of drgn's commands
(``answers``); ``compare`` holds any other view of the same dump against them.
Recorded answers make the comparison possible anywhere, also after the archive
has dropped that debug package.

Must not know: btfdbg. The names worth asking for come out of the dump's own BTF
by a reader of 60 lines (``names``), so that a mistake in btfdbg's cannot hide
itself.
"""
