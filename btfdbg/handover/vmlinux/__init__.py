"""An ELF of the kernel made from its dump: for crash, gdb, drgn -s and pahole.

``abbrev``    the shapes of DWARF entries, and the numbers of DWARF
``type_entries``  BTF's types as entries of DWARF
``dwarf``     BTF as DWARF: the types, and one entry for each function and variable
``cfi``       what .debug_frame is made of
``orc``       ORC as .debug_frame, for debuggers that know DWARF only
``records``   arm64's frame records as .debug_frame
``sections``  which parts of the image are sections, and what could be read of them
``elf``       the file: sections, symbols, header
``symtab``    its symbols
``about``     what the file says of itself
``crash``     what crash needs beside the file, and what it gives up at
``export``    all of it together: ``btfdbg export-vmlinux``
``closure``   what a module's types need of the kernel's
``modules``   a file for each loaded module: ``--modules``

What it cannot have, because the dump has not: line numbers, inlined functions, local
variables. Its producer string says what it is, a note says which pages could not be read.
"""
