"""Networks that learn from photographs, without labels or judgments."""
