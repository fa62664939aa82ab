"""Rates, compared with other implementations and with the limits of the machine (`make bench`)."""
