"""Tests of the router: the command line."""
