"""Fuzz whole dumps: mutate a small real one, run commands, hold the answers against what is true.

Why whole dumps: each parser has a fuzzer of its own, but what goes wrong with a
damaged dump goes wrong between them (a list that runs in a circle through a
module that has no name any more).

Parts: ``smalldump`` makes the dumps to start from, ``dumpfile`` and ``formats`` know
where in a file of each format a page is, ``reads`` which pages each command reads,
``mutate`` what is done to them, ``sandbox`` runs the commands in a child and judges,
``campaign`` does it many thousand times and can go on where it was stopped.

``python -m tests.fuzz dumps --help`` says how.
"""
