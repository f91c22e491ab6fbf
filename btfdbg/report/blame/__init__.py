"""Which function a crash is called after, and whether two crashes are the same.

In reading order:

names.py      names of functions as keys; rust.py: those of Rust
rules.py      the functions that are never to blame, one row per family; match.py looks up
choice.py     stack → function to blame, with the reason for each frame
signature.py  kind, stack → title, alternatives and hash

To add a function that is never to blame: a row in rules.py with its sample.
"""
