"""The fused engine: stacks of centred MLPs on a CPU, each run trained by one compiled kernel with all of its numbers in the caches.

`deepnets.fused.engine` chooses between it and the stacks of `deepnets.batched`, which are its reference in the tests and train everything
else. numba and llvmlite are imported when the first run is trained.
"""
