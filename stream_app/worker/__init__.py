"""The worker: a Faust app that reads runs of clicks, keeps sessions in RocksDB and answers."""
