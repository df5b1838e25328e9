"""All that talks to Kafka but the worker's own consumer: clients, topics, permissions, local brokers."""
