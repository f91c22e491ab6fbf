"""``btfdbg info``: what the dump holds and where each thing was found."""

from __future__ import annotations

from typing import Any

from btfdbg.btf.encoder import remarks
from btfdbg.program import bpf
from btfdbg.program.session import Session
from btfdbg.vmcore.platforms import machine_of


def as_dict(session: Session) -> dict[str, Any]:
    """The facts of ``info --json``; keys are part of the public interface."""
    symbols = session.symbols
    modules = []
    btfs = session.modules
    for name in session.module_names():
        btf = btfs.get(name)
        modules.append(
            {
                "name": name,
                "btf": None
                if btf is None
                else {"source": session.module_btf_source(name), "types": len(btf.own_ids())},
            }
        )
    dump = session.dump
    platform = session.prog.platform
    return {
        "format": dump.format.value if dump is not None else "unknown",
        "architecture": machine_of(platform) or "unknown",
        "release": session.release,
        "build_id": session.build_id,
        "vmcoreinfo": {"source": session.vmcoreinfo_source},
        "kallsyms": {
            "source": symbols.source if symbols is not None else None,
            "count": symbols.count if symbols is not None else 0,
        },
        "btf": {
            "source": session.btf_source or None,
            "types": session.vmlinux.type_cnt - 1 if session.has_btf else 0,
            "remarks": remarks(session.vmlinux) if session.has_btf else [],
        },
        "modules": modules,
        "bpf": [_bpf(session, btf_id) for btf_id in bpf.of(session).ids()],
        "notes": [{"step": n.step, "what": n.what, "hint": n.hint} for n in session.notes],
    }


def _bpf(session: Session, btf_id: int) -> dict[str, Any]:
    btf = bpf.of(session).get(btf_id)
    users = bpf.of(session).users(btf_id)
    return {
        "id": btf_id,
        "types": None if btf is None else len(btf.own_ids()),
        **{
            f"{kind}s": [{"id": u.id, "name": u.name} for u in users if u.kind == kind]
            for kind in ("program", "map")
        },
    }


def as_json(session: Session) -> str:
    """``info --json``."""
    import json

    return json.dumps(as_dict(session), indent=2)


def as_text(session: Session) -> str:
    """``info`` for people."""
    facts = as_dict(session)
    with_btf = [m for m in facts["modules"] if m["btf"]]
    rows = [
        ("format", facts["format"]),
        ("architecture", facts["architecture"]),
        ("release", facts["release"]),
        ("build id", facts["build_id"] or "not known"),
        ("vmcoreinfo", facts["vmcoreinfo"]["source"]),
        ("kallsyms", _counted(facts["kallsyms"], "count", "symbols")),
        ("btf", _counted(facts["btf"], "types", "types")),
        ("modules", f"{len(facts['modules'])} loaded, {len(with_btf)} with BTF"),
    ]
    lines = [f"{label:>13}: {value}" for label, value in rows]
    lines += [f"{'':15}{remark}" for remark in facts["btf"]["remarks"]]
    wide = max((len(m["name"]) for m in facts["modules"]), default=0)
    for m in facts["modules"]:
        btf = m["btf"]
        what = f"{btf['types']:,} types from {btf['source']}" if btf else "no BTF"
        lines.append(f"{'':15}{m['name']:<{wide}}  {what}")
    if facts["bpf"]:
        lines.append(f"{'bpf':>13}: {len(facts['bpf'])} BTF of bpf programs")
    for one in facts["bpf"]:
        types = "unreadable" if one["types"] is None else f"{one['types']:,} types"
        users = ", ".join(str(u) for u in bpf.of(session).users(one["id"])) or "nobody"
        lines.append(f"{'':15}{one['id']:<24} {types}, used by {users}")
    for note in session.notes:
        lines.append(f"{'note':>13}: {note}")
    return "\n".join(lines)


def _counted(fact: dict[str, Any], key: str, unit: str) -> str:
    if not fact["source"]:
        return "none"
    return f"{fact[key]:,} {unit} from {fact['source']}"


def banner(session: Session) -> str:
    """The lines above the first prompt."""
    dump, symbols = session.dump, session.symbols
    found = []
    if session.has_btf:
        found.append(f"{session.vmlinux.type_cnt - 1:,} types")
    if symbols is not None:
        found.append(f"{symbols.count:,} symbols")
    lines = [
        f"{dump.path if dump else 'kernel'}: Linux {session.release}"
        f" {machine_of(session.prog.platform)}"
        f" ({dump.format.value if dump else 'live'})",
        f"from the dump itself: {', '.join(found) or 'nothing'}",
    ]
    lines += [f"note: {n}" for n in session.notes]
    return "\n".join(lines)
