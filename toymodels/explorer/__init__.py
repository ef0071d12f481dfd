"""The explorer: one HTML file that trains the toy models in the browser, over whatever part of the plane is shown."""
