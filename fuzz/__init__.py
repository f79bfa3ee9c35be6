"""Fuzzing: damaged and hostile files for every reader, `python -m fuzz`."""
