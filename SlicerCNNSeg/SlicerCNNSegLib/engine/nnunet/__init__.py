"""Models that nnU-Net v2 trained: read into model folders of our own form, and run as nnU-Net runs them."""
