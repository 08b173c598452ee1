"""Architecture: cheaper parts in place of the costly ones."""
