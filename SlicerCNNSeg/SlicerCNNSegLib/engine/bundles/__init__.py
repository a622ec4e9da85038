"""MONAI Bundles that others made, run as they are: their own configs, read by the restricted reader."""
