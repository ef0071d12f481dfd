"""Read the runs of sweeps that exist, and bracket edges and best rates from them."""
