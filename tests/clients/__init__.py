"""Tests of the router: clients."""
