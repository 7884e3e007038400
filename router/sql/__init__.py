"""PURE: SQL text in, facts out."""
