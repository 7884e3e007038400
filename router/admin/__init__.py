"""For operators: metrics, health pages, SHOW commands."""
