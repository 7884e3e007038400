"""The same SQL against one database that holds all rows, and against the router over several shards."""
