"""The documentation: its examples are run, its links lead somewhere, its site is built."""
