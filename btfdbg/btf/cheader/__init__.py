"""BTF as a C header that compiles, gcc and clang alike.

In reading order: ``header`` (the verb, ``dump_c``), ``adapt`` (what C cannot say),
``c_names`` (what may be a name in C), ``definitions`` (which types, in what order),
``order`` (bpftool's sorting), ``c_layout`` (where members land by the ABI, and what must be
said to put them elsewhere), ``declarations`` (a type around a name), ``names`` (what C
calls them), ``text`` (spelling), ``kfuncs`` and ``asserts`` (prototypes and size checks on top).
"""
