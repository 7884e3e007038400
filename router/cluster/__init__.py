"""Many servers as one topology: roles, health, choice."""
