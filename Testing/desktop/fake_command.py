"""In the place of ``cnnseg segment ... --json``: behaves as FAKE_BEHAVIOUR says.

It notes its arguments, its process id and that of a child of its own in FAKE_NOTES.
"""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path


def say(**message: object) -> None:
    """Print one message."""
    print(json.dumps(message), flush=True)


behaviour = os.environ["FAKE_BEHAVIOUR"]
notes = {"arguments": sys.argv[1:], "pid": os.getpid(), "child": 0}
if behaviour == "hang":
    notes["child"] = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"]).pid
Path(os.environ["FAKE_NOTES"]).write_text(json.dumps(notes), encoding="utf-8")
say(event="start", schema=1, cases=["volume"], model="tiny-mr", folder="out")
say(event="progress", case="volume", position=0, fraction=0.5, case_fraction=0.5, stage="Running the network")
print("Traceback (most recent call last):\n  something of torch's", file=sys.stderr, flush=True)
match behaviour:
    case "hang":
        time.sleep(600)
    case "fail":
        say(event="case", case="volume", position=0, status="failed", seconds=1, error="InputError", message="No good.")
        say(event="end", total=1, done=0, skipped=0, failed=1, stopped=False, table=None)
        sys.exit(1)
    case "die":
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(10)
    case "silent":
        sys.exit(3)
