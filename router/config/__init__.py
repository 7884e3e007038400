"""The configuration file: models, rules and the loader."""
