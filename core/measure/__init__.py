"""What answers are worth: figures on held-out sessions and on a stream, and how certain they are."""
