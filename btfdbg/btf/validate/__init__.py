"""Every rule that a BTF breaks, libbpf's (``basic``) and the kernel verifier's (``strict``).

In reading order: ``validate`` (the verb), ``header`` (sections and strings), ``resolve``
(sizes and loops, as the verifier resolves them), ``special`` (fields that BPF manages),
``problem`` (what a finding is).
"""
