"""Where parameters come from: found, downloaded, read and checked, for the networks of `backbones`."""
