"""Configuration: settings and flags, and how names become classes."""
