"""How good results are: against references, with intervals."""
