"""Types of global variables: the database, its rules, and the lookup.

Kernel BTF has types for per-CPU variables only. A variable's type hardly changes
between kernels, so a table of names and C types, made from the DWARF of distribution
kernels, types nearly all others, as long as each answer is checked against the dump's
own evidence: symbol, extent, and the types in its BTF.

In reading order:

* what is known: ``evidence`` (what a caller knows of a dump), ``symbols``, ``placement`` (kinds
  of memory), ``parameters``, ``dump_facts`` (what the dump answers), ``extra`` (extra BTF);
* types: ``convert`` (text into drgn's), ``forms`` (a type as it stands, const, not const),
  ``structural_index`` (types of the BTF by their shape), ``pointer_map``, ``prototypes``,
  ``contents`` (what memory speaks against), ``padding`` (what other kernels have behind a
  variable);
* judging one: ``policy`` (what is taken for enough), ``provenance`` (an answer, and why there
  is none), ``lengths`` (of arrays), ``type_checker``;
* proposing: ``kernel_distance``, ``proposals`` (the values), ``context`` (all that is judged
  with), ``agreement`` (of kernels), ``macro_names``, ``propose``, ``probed`` (what drgn itself
  would take);
* choosing: ``choose`` (one of several), ``namesakes`` (which of several variables has which),
  ``drift`` (what may have changed between kernels),
  ``beyond`` (what may be otherwise in a kernel that none surround), ``accessed`` (what code does
  with a number), ``ubsan`` (where room ends), ``code_claims`` (what code says), ``doubted`` (what
  other kernels say and the dump has to bear out), ``lookup``;
* ``var_offsets``: which of the variables that a BTF itself has a symbol is.

Why text and checks rather than BTF per kernel: a kernel that was never extracted (the
user's own build) is the normal case.
"""

from __future__ import annotations

from btfdbg.vardb.database import Candidate, Database
from btfdbg.variables.lookup import VariableTypes, shipped_database
from btfdbg.variables.provenance import Source, TypedVariable

__all__ = [
    "Candidate",
    "Database",
    "Source",
    "TypedVariable",
    "VariableTypes",
    "shipped_database",
]
