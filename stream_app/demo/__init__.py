"""The demo: real purchases through a broker, a worker and back, watched in a terminal."""
