"""Networks that learn from photographs alone, without labels or judgments."""
