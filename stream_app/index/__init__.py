"""The index in a running worker: fed from the sessions topic, guarded, kept in snapshots."""
