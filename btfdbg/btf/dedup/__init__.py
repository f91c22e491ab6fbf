"""The fewest types that say the same: dedup by partition refinement.

In reading order: ``dedup`` (the verb), ``graph`` (types as labels and successors),
``refine`` (coarsest equal classes), ``whole`` (a BTF without base: ``flat``, its words,
``climb``, classes of many types at a time), ``split`` (over a base), ``base`` (what is known
of the base), ``pairs`` (same-named definitions held side by side), ``cycles`` (types that
refer to themselves), ``strings`` (string section).

Why refinement and not libbpf's graph walk: its answer depends on the order of types and
gives up on some (shared/facts, 3.4 of the BTF notes); classes of a refinement do not.
"""
