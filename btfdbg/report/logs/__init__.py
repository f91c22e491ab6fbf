"""What a log says happened: text of a console, a pstore or a vmcore-dmesg.txt.

In reading order:

lines.py       text → line: time stamp, caller, message
stacklines.py  line → frame, register, heading
headers.py     the messages that begin a report, one row each
expression.py  a regular expression that is compiled when it is first needed
text.py        text → events; building.py is one report while it is read, panics.py what ends it,
               sections.py its stacks, deciding.py which of them decides, registers.py what its
               fault accessed, told.py what a WARNING says
files.py       logs as files; journal.py: what journalctl exports, as lines; wall_clock.py: when
log_report.py  the report on one; log_page.py: in the shape of a dump's

To add a message: a row in headers.py with its words and its sample.
"""
