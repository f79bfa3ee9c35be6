"""Runs: folders that hold a search from its configuration to its report."""
