"""Reads the configuration of other routers and drafts one for this router."""
