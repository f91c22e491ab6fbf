"""Figures, side by side with the peers that are installed; never a test that fails on a time."""
