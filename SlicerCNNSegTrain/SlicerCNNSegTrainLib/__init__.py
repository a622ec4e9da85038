"""Training for CNNSeg: from labelled cases to a MONAI Bundle that the other module offers."""
