"""The command line `compzoo`: a thin front door over catalog, reference_impls and site_gen."""
