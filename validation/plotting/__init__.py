"""Draw portraits, edges, observables and sheets of images."""
