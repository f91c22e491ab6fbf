"""Commands of the prompt, on drgn's own command framework; one file per command.

Why drgn's framework: its arguments and help come with it, and all of drgn's
crash-compatible commands are usable as they are.

The commands themselves are in ``prompt/`` (a file there is a command, nothing
else needs to be told); what they share stands beside it: ``define`` (the
decorator), ``namespace`` (finding and running), ``language`` (command or
Python?), ``output`` and ``text`` (where it goes, made safe), ``failure``
(errors in one line), ``kernel_names`` (types and per-CPU variables as users name them),
``values`` (addresses and expressions as arguments), ``c_values``
(what C means over a dump), ``arguments`` (options behind operands), ``annotate``
(what is at an address).
"""
