"""Training of plain networks; devices, compilation and memory of any step."""
