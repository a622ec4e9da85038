"""What the panel keeps in the scene."""

from typing import Annotated

from slicer import (
    vtkMRMLDisplayableNode,
    vtkMRMLMarkupsROINode,
    vtkMRMLScalarVolumeNode,
    vtkMRMLSegmentationNode,
    vtkMRMLTableNode,
)
from slicer.parameterNodeWrapper import Choice, WithinRange, parameterNodeWrapper

from ..engine.classification.around import MARGIN_MM
from ..engine.package import TASKS
from ..engine.settings import DEFAULT_MODEL, DEVICES, EXPLANATIONS, PRECISIONS
from .classify_tab import WHERE


@parameterNodeWrapper
class SlicerCNNSegParameterNode:
    """What the panel keeps in the scene: the fields of the tasks' settings and the nodes."""

    task: Annotated[str, Choice(list(TASKS))] = TASKS[0]
    inputVolume: vtkMRMLScalarVolumeNode
    inputVolume2: vtkMRMLScalarVolumeNode
    inputVolume3: vtkMRMLScalarVolumeNode
    inputVolume4: vtkMRMLScalarVolumeNode

    model: str = DEFAULT_MODEL
    region: vtkMRMLDisplayableNode
    regionMargin: Annotated[float, WithinRange(0, 100)] = MARGIN_MM
    outputSegmentation: vtkMRMLSegmentationNode
    volumesTable: vtkMRMLTableNode
    resultSegmentation: vtkMRMLSegmentationNode

    detector: str = ""
    detectRegion: vtkMRMLDisplayableNode
    detectMargin: Annotated[float, WithinRange(0, 100)] = MARGIN_MM
    findingsTable: vtkMRMLTableNode
    earlierFindings: vtkMRMLTableNode
    earlierDate: str = ""
    laterDate: str = ""

    classifier: str = ""
    classifyWhere: Annotated[str, Choice(list(WHERE))] = WHERE[0]
    classifyRegion: vtkMRMLMarkupsROINode
    classifySegmentation: vtkMRMLSegmentationNode
    margin: Annotated[float, WithinRange(0, 100)] = MARGIN_MM
    explain: Annotated[str, Choice(list(EXPLANATIONS))] = ""
    classesTable: vtkMRMLTableNode
    heatMap: vtkMRMLScalarVolumeNode

    device: Annotated[str, Choice(list(DEVICES))] = "auto"
    precision: Annotated[str, Choice(list(PRECISIONS))] = "auto"
    mirror: bool = False
    force: bool = False
