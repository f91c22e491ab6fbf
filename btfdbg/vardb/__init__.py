"""What is known of variables' names: the shipped database and its formats.

In reading order: ``textdb`` (the reviewable text), ``layout`` (the binary form),
``database`` (lookup), ``name_patterns`` (families of generated names).
"""
