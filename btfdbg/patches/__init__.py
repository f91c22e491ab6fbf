"""Everything that changes drgn from outside."""
