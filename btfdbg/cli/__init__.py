"""The command line: ``main`` (what to run), ``options`` and ``parser`` (the grammar),
``trim``, ``btf/`` and ``vars/`` (subcommands), ``logs`` and ``sigbus`` (last words).
"""
