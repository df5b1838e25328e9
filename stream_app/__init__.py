"""How nextclick acts: Kafka, RocksDB, metrics, the command line. Imports core; core never imports this."""
