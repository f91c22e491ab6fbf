"""The commands; each module registers what it defines when it is imported.

A command is one file: copy a small one (``whatis``), and it is found, listed by
``help``, completed, and its examples are run by the tests. Where the file has the command's
name it is imported by itself when it is run; else ``commands.where`` says which it is.
"""
