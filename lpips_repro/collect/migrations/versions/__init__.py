"""One file per revision; `down_revision` names the one before it."""
