"""Latency tables: read, written, checked, measured."""
