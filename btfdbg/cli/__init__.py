"""The command line. In reading order:

* ``main`` (what to run), ``options`` (the grammar as data), ``reader`` (a line without mistakes),
  ``parser`` (help and mistakes, in one line by ``brief``), ``intermixed`` (operands behind
  options), ``logs`` (where messages go), ``sigbus`` (last words), ``unpack`` (a compressed
  dump), ``outputs`` (what must not be written over);
* subcommands: ``info``, ``report``, ``signature``, ``triage`` with ``live_table``, ``collect``,
  ``trim``, ``isf``, ``export_vmlinux``, ``gdbserver``, ``serve``, ``btf/``, ``vars/``.
"""
