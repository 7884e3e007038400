"""A query router for MySQL and MariaDB."""
