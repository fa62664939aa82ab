"""A dataset of one's own: from photographs to triplets and JND pairs with their recipes, and simulated judgments."""
