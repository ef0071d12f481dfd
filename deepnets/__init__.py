"""The independent witness: deep networks in torch; may import validation, never toymodels. Not built yet: see CHANGELOG.md."""
