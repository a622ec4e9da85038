"""The picture of a result: the overlay in three planes."""
