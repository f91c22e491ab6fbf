"""What makes a drgn.Program behave as if debug info were loaded: ``attach``, ``Session``.

In reading order:

* ``session`` (what is known of one Program), ``attach`` (the steps, in order), ``open_dump``
  (with VMCOREINFO or one that is made), ``open`` (from a path to a Program), ``plugins``,
  ``extensions`` (a user's own Python);
* where BTF is: ``find_btf``, ``btf_evidence`` (is it this kernel's), ``remembered_btf`` (from
  one run to the next), ``packed_btf`` (out of a kdump file), ``sysfs``, ``bpf`` (of bpf programs);
* drgn's questions: ``convert`` (BTF to drgn's types), ``finders``, ``answers`` (kept),
  ``module_objects``, ``homonyms`` (several types of one name), ``per_cpu``, ``symbol_rules``
  (symbols that no table has; ``getters``, ``sysfs_rules``, ``orc_rules`` derive them),
  ``thread_size``;
* what is not there: ``absence`` and ``char_type`` (what drgn would conclude wrongly),
  ``untyped`` (why a name is no object), ``doubts`` (what the BTF leaves open); ``frame_names``
  (of copies that the compiler made, for drgn's own users), ``bare_dwarf`` (files for drgn);
* modules: ``modules``, ``module_index``, ``module_notes``, ``module_restore``, ``modules_dir``;
* memory: ``walks`` (lists that end), ``watched`` (what fails is counted), ``memory_search``
  (round what is missing), ``log_records`` (the kernel's log, in bulk), ``annotate`` (what is at
  an address), ``unwind_tables`` (lent to drgn), ``orc_hole`` (an entry that they lack),
  ``unwind_riscv64``, ``user_registers``.
"""

import btfdbg.vmcore  # noqa: F401 - it refuses a drgn that is too old
