"""BTF as text and back: ``rawtext`` (bpftool's raw notation), ``assemble`` (reads it),
``notation`` (the tables that both share), ``jsondump`` (JSON), ``isf`` (volatility3's
symbol tables).
"""
