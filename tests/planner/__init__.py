"""Tests of the router: planner."""
