"""Search spaces, architectures and their parts, as static data without arrays."""
