"""Training of plain networks, and what trainings and searches share."""
