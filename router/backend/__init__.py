"""Sockets to servers: connect, pool, relay, reset."""
