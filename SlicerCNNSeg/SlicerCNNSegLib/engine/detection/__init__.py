"""Detection: from a CT to findings."""
