"""What makes a drgn.Program behave as if debug info were loaded: ``attach``, ``Session``.

In reading order: ``session`` (what is known of one Program), ``attach`` (the steps, in
order), ``find_btf`` and ``symbol_rules`` (where BTF and missing symbols are), ``convert``
(BTF to drgn's types), ``finders`` and ``module_objects`` (drgn's questions), ``absence``
and ``char_type`` (what drgn would conclude wrongly), ``modules*``, ``sysfs``, ``bpf``,
``log_records`` (the kernel's log, in bulk), ``memory_search`` (round what is missing),
``open_dump`` (with VMCOREINFO or one that is made), ``open`` (from a path to a Program).
"""

import btfdbg.vmcore  # noqa: F401 - it refuses a drgn that is too old
