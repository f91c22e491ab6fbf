"""DWARF to database, and measuring the database against DWARF. Never used in a session.

In reading order: ``extract`` (the verb), ``dwarfvars`` and ``dwarftypes`` (variables and
their types out of DWARF), ``dies`` (walking it in Python fast enough), ``elfkernel`` and
``elfsyms`` (symbols and sections), ``merge`` (many kernels into one text), ``check``
(right, wrong or nothing), ``encode`` (variables as BTF),
``noise`` (those that are left out).
"""
