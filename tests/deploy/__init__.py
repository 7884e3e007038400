"""What deploy/ ships, checked with the programs that read it where they can be had."""
