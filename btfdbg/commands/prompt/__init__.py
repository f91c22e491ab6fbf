"""The commands; each module registers what it defines when it is imported.

A command is one file: copy a small one (``whatis``), and it is found, listed by
``help``, completed, and its examples are run by the tests.

All are imported when the first one is needed, with drgn's commands and every helper, which
takes longer than most commands do; so those of :data:`ALONE` are imported by themselves.
"""

ALONE = {"ctx": "ctx", "info": "info", "report": "report"}
"""
Command to its module, for those that evaluate nothing that was typed and run no other command.
"""
