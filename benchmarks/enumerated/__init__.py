"""A space small enough to train every network of it, and searches held against that."""
