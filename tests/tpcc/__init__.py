"""Known loads over four shards: a compact TPC-C, and sysbench."""
