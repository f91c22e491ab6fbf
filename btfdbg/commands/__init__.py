"""Commands of the prompt, on drgn's own command framework; one file per command.

Why drgn's framework: its arguments, help, pipes and redirections come with it,
and all of drgn's crash-compatible commands are usable as they are.
"""
