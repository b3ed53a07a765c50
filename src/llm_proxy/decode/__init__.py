"""What the recorded bytes of an exchange mean: pure functions, no I/O, nothing that raises."""
