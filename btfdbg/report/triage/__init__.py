"""A folder of dumps and logs: which crashes are the same, and what they have in common.

In reading order:

crash.py     one crash, the value
groups.py    many crashes → groups and hints; known.py: local knowledge of them
finding.py   which files are dumps and logs
crash_of.py  one file → its crash; singles.py: the page about it
workers.py   reads files in bounded processes; kept.py keeps results
on_dask.py   the same on other machines; read_batch.py: some files in a process there
as_text.py   groups as text and JSON lines; as_html.py: the index; history.py: its bars
"""
