"""Downloads of archives, resumed over several mirrors."""
