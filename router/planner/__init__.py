"""PURE: facts and catalog in, plan out."""
