"""The files that the panels are made of."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MODULES = ("SlicerCNNSeg", "SlicerCNNSegTrain")

MODULE_FILES = [path for name in MODULES if (path := ROOT / name / f"{name}.py").is_file()]
FORMS = sorted(path for name in MODULES for path in ROOT.glob(f"{name}/Resources/UI/*.ui"))
EFFECT_CODE = sorted(ROOT.glob("SlicerCNNSeg/SegmentEditorCNNSegLib/*.py"))
PANEL_CODE = [
    *MODULE_FILES,
    *EFFECT_CODE,
    *sorted(path for name in MODULES for path in ROOT.glob(f"{name}/{name}Lib/widgets/*.py")),
]
