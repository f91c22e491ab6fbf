"""Commands of the prompt, on drgn's own command framework; one file per command.

Why drgn's framework: its arguments and help come with it, and all of drgn's
crash-compatible commands are usable as they are.

A file in ``prompt/`` is a command, nothing else needs to be told; ``crash/`` has crash's options
that drgn's lack. What they share stands beside them, in reading order:

* a line: ``aliases``, ``language`` (command or Python?), ``implicit`` (neither, but a name of
  the kernel), ``evaluate`` (run it), ``execute`` (what the command line gave), ``scripts``
  (files of lines), ``globals`` (what names code sees), ``state`` (what a prompt remembers);
* a command: ``define`` (the decorator), ``namespace`` (find and run one), ``where``
  (which modules are imported for it), ``words`` and
  ``arguments`` (its words, options behind operands), ``usage_errors``, ``extensions`` (the
  user's own), ``equivalents`` (what people type elsewhere);
* what a word means: ``values`` (addresses and expressions), ``c_values`` (C over a dump),
  ``kernel_names`` (types, per-CPU variables), ``symbols``, ``type_search``, ``candidates`` (did
  you mean);
* what is shown: ``output`` (where it goes), ``wrapping`` (broken to the terminal's width),
  ``text`` (made safe, tables), ``tables`` (as JSON), ``display`` (objects and types),
  ``markup`` (help without its marks), ``failure`` (errors in one line), ``reads`` (how much
  could not be read), ``info``.
"""
