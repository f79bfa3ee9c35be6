"""Many searches, each a command of its own, and one table of what came out."""
