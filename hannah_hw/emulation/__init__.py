"""Running firmware instruction by instruction: emulated cores, counts and documented cycle times."""
