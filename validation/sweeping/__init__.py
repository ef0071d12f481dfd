"""How a plane is measured tile by tile: what is left, who measures it, what is finer near edges; knows no model."""
