"""How large a network does a kind of problem need? Records, and advice from them."""
