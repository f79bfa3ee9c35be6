"""Data sets and their splits."""
