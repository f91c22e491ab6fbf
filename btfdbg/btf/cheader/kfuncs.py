"""Prototypes of the kernel's functions that BPF programs may call (kfuncs), as C.

Owns what a decl tag ``bpf_kfunc`` on a FUNC means; bpftool prints the same since 7.5.
A program that includes them gets the address of each from its loader (``__ksym``), or 0
where the kernel lacks it (``__weak``).
Facts: pahole's feature decl_tag_kfuncs; "dump_btf_kfuncs" of bpftool.
"""

from __future__ import annotations

from collections.abc import Iterator

from btfdbg.btf import kinds
from btfdbg.btf.btf import Btf
from btfdbg.btf.cheader.declarations import Unprintable
from btfdbg.btf.cheader.definitions import CDump
from btfdbg.btf.format import Kind

_HEAD = """\
/* BPF kfuncs */
#ifndef BPF_NO_KFUNC_PROTOTYPES
#ifndef __ksym
#define __ksym __attribute__((section(".ksyms")))
#endif

#ifndef __weak
#define __weak __attribute__((weak))
#endif

#ifndef __bpf_fastcall
#if __has_attribute(bpf_fastcall)
#define __bpf_fastcall __attribute__((bpf_fastcall))
#else
#define __bpf_fastcall
#endif
#endif

"""
_TAIL = "#endif\n\n"


def kfuncs(btf: Btf) -> dict[int, bool]:
    """Return the FUNCs that are kfuncs, by id, and whether each is ``bpf_fastcall``."""
    tagged: dict[str, set[int]] = {"bpf_kfunc": set(), "bpf_fastcall": set()}
    for type_id in btf.ids():
        if btf.kind_of(type_id) == Kind.DECL_TAG and btf.name_of(type_id) in tagged:
            tag = btf.type_by_id(type_id)
            assert isinstance(tag, kinds.DeclTag)
            if tag.component_idx == -1 and btf.kind_of(tag.type) == Kind.FUNC:
                tagged[tag.name].add(tag.type)
    return {func: func in tagged["bpf_fastcall"] for func in sorted(tagged["bpf_kfunc"])}


def kfunc_prototypes(dump: CDump) -> Iterator[str]:
    """
    Yield a prototype of each kfunc, within what a header needs for that.

    Two of one name and signature (a module's and the kernel's) are written once.

    :param dump: A dump that has defined all types.
    """
    btf = dump.types.btf
    lines = []
    for func, fast in kfuncs(btf).items():
        target = btf.type_by_id(func)
        assert isinstance(target, kinds.Func)
        try:
            text = dump.decl.declare(target.type, target.name, 0)
        except Unprintable as error:
            lines.append(f"/* {target.name}: {error} */\n")
            continue
        lines.append(f"extern {'__bpf_fastcall ' if fast else ''}{text} __weak __ksym;\n")
    if lines:
        yield _HEAD + "".join(dict.fromkeys(lines)) + _TAIL
