"""Whether everything works on a real GPU (`make gpu-check`)."""
