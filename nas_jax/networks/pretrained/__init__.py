"""Networks and weights of other code bases."""
