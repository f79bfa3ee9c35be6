"""Runtimes that networks are deployed on, as devices that time them."""
