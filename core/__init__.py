"""What nextclick decides: sessions, the index and its scoring. No I/O, clock, randomness or environment."""
