"""What people look at: statistics and pictures."""
