"""Arithmetic and time, exact and without I/O: everything here takes values and returns values."""
