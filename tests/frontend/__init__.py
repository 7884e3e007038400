"""Tests of the router: frontend."""
