"""Measurement of latency on the runtimes that networks are deployed on."""
