"""BTF library."""
