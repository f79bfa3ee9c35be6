"""Results of benches and runs as their commands wrote them."""
