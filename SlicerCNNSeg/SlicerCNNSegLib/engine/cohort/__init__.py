"""Many cases, one after the other: what goes in, what comes out, what is written."""
