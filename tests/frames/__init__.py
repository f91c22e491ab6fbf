"""Tests of ``btfdbg.frames``."""
