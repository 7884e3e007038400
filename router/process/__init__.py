"""More than one process: workers, and a new router that takes over from an old one."""
