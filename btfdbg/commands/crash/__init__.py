"""Options of crash(8) that drgn's commands lack, and commands of crash that drgn lacks.

In reading order: ``table`` (every option that is added, as data), ``attach`` (puts them into
drgn's parsers), ``call`` (what an option's function is given), ``another`` (runs a command of
drgn's), then a file per command.
Commands of their own are in ``commands/prompt``.

Must not hold what drgn has: an option that the installed drgn knows is drgn's, and the row
here is left out.
"""
