"""Tests of the router: cluster."""
