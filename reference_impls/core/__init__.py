"""What the algorithms share: grids, storages, calibration, contracts, the training loop."""
