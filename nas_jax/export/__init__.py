"""Networks as files for the runtimes that will run them, proven and timed."""
