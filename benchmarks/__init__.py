"""What the method's parts are worth, measured: `python -m benchmarks NAME`."""
