"""What the accuracy of networks of equal latency depends on."""
