"""Parameters of networks: finding, downloading, reading and checking them."""
