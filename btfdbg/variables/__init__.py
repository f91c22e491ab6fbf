"""Types of global variables: the database, its rules, and the lookup.

Kernel BTF has types for per-CPU variables only. A variable's type hardly changes
between kernels, so a table of names and C types, made from the DWARF of distribution
kernels, types nearly all others, as long as each answer is checked against the dump's
own evidence: symbol, extent, and the types in its BTF.

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
