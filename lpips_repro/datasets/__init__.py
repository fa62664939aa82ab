"""From folders, and the mini dataset, to packed splits."""
