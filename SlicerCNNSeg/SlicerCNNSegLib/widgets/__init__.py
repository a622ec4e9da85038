"""The widgets floor: what the panels are made of. It may use Qt, Slicer, the scene floor and the light engine."""
