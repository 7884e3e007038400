"""Sockets to clients: listeners, login, dispatch."""
