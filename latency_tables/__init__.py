"""Measured latency tables; see README.md."""
