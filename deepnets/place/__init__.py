"""Place a network in the plane: how far it is from the crossing between lazy and rich, and the highest rate at which it trains."""
