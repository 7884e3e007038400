"""The command line: ``app`` is all of it, the other modules are its commands."""

from router.cli.app import app, main

__all__ = ["app", "main"]
