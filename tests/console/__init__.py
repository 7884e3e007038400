"""The web console in a real browser, in front of a real router."""
