"""Dynamic: less work where less is enough."""
