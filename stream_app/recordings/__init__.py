"""Files of clicks, and playing them into Kafka."""
