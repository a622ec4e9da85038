"""Starting from what another network has learned."""
