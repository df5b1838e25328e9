"""From clicks to closed sessions: the window, a run's step through it, and what its changelog means."""
