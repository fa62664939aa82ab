"""Square crops of folders of photographs, for training and held out, which are decoded once."""
