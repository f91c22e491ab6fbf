"""Files and servers for other tools, made of the dump alone.

``symbols``   the kernel's symbols at their link-time addresses, kallsyms' own tables too
``types``     what is known of variables, as BTF: a ``drgn.Type`` becomes a type id
``kernel``    both together: what every file for another tool is made of
``isf``       a symbol table for volatility3
``vmlinux/``  an ELF with symbols, DWARF and memory, for crash, gdb and drgn
``gdb/``      gdb's remote protocol
``mcp``       the Model Context Protocol; ``mcp_lines``: what becomes of lines that are none of it

Terms: *link-time address*: the address that the kernel's own vmlinux gives a symbol, the
address in memory less KERNELOFFSET.
"""
