"""Physical layers: an unknown map that can only be measured, then a linear map that learns."""
