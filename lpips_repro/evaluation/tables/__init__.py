"""Tables of scores, made from distances, and their files."""
