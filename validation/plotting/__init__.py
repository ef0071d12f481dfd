"""The parts of figures: axes of edges and observables, colours, sheets of pictures; knows no model."""
