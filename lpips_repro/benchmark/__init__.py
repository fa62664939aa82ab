"""How fast this is, beside the other implementations and what the machine can do (`make bench`)."""
