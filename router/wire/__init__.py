"""PURE: the MySQL protocol as bytes."""
