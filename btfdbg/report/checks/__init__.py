"""The checks of a report, one file per subject; each registers itself when it is imported.

In the order of a report: ``system`` (10), ``crash`` (20), ``cpus`` (30), ``blocked`` (40),
``memory`` (60, 65), ``storage`` (70, 75), ``modules`` (80), ``log`` (90), ``unread`` (100).
"""
