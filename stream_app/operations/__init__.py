"""What an operator asks for: where to begin, dead letters, explaining, forgetting, status, trimming."""
