"""Tests of the router: session."""
