"""The algorithms as code, and the bench that measures them. Needs torch; knows nothing of the catalog or the site."""
