"""PURE: what the router remembers of one client."""
