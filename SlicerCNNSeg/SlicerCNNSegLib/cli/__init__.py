"""The command line: ``cnnseg``. One file per sub-command, each with ``add_parser`` and ``execute``."""
