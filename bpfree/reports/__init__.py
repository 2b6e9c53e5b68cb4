"""Reports: studies are read, checked, compared and drawn."""
