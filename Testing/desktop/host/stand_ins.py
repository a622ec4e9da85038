"""Stand-ins for the widgets of ctk and Slicer that the forms use, drawn about as Slicer draws them.

Each has only names that the real class has (``qt_api.json``; ``test_contract.py`` compares), with the
same meaning. Names in camelCase are the real classes' own.
"""

# ruff: noqa: N801, N802, N815 - names are those of the classes stood for

from __future__ import annotations

from PySide6 import QtCore, QtGui, QtWidgets
from PySide6.QtCore import Property, Signal
from vtk import VTK_OBJECT, calldata_type, vtkCommand, vtkTable


class qMRMLWidget(QtWidgets.QWidget):
    """The form's root: hands the scene on to the widgets that the form connects."""

    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent)
        self._scene = None
        self.receivers: list[QtWidgets.QWidget] = []

    def mrmlScene(self):
        return self._scene

    def setMRMLScene(self, scene) -> None:
        self._scene = scene
        for receiver in self.receivers:
            receiver.setMRMLScene(scene)


class ctkCollapsibleButton(QtWidgets.QWidget):
    """A section with a header that opens and closes it."""

    contentsCollapsed = Signal(bool)
    HEADER_PX = 22

    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent)
        self._text, self._collapsed = "", False
        self.setContentsMargins(0, self.HEADER_PX, 0, 0)

    def _set_text(self, text: str) -> None:
        self._text = text
        self.update()

    def _set_collapsed(self, collapsed: bool) -> None:
        if collapsed == self._collapsed:
            return
        self._collapsed = collapsed
        self._show_contents()
        self.contentsCollapsed.emit(collapsed)

    text = Property(str, lambda self: self._text, _set_text)
    collapsed = Property(bool, lambda self: self._collapsed, _set_collapsed)

    def _show_contents(self) -> None:
        self.setMaximumHeight(self.HEADER_PX if self._collapsed else 16777215)
        for child in self.findChildren(QtWidgets.QWidget, options=QtCore.Qt.FindChildOption.FindDirectChildrenOnly):
            child.setVisible(not self._collapsed)

    def showEvent(self, event: QtGui.QShowEvent) -> None:
        """The contents come after the property in the form; hide them now."""
        super().showEvent(event)
        if self._collapsed:
            self._show_contents()

    def mousePressEvent(self, event: QtGui.QMouseEvent) -> None:
        if event.position().y() < self.HEADER_PX:
            self._set_collapsed(not self._collapsed)

    def paintEvent(self, event: QtGui.QPaintEvent) -> None:
        painter = QtWidgets.QStylePainter(self)
        frame = QtWidgets.QStyleOptionFrame()
        frame.initFrom(self)
        frame.rect = self.rect().adjusted(0, self.HEADER_PX // 2, 0, 0)
        frame.lineWidth = 1
        painter.drawPrimitive(QtWidgets.QStyle.PrimitiveElement.PE_FrameGroupBox, frame)
        button = QtWidgets.QStyleOptionButton()
        button.initFrom(self)
        button.rect = QtCore.QRect(0, 0, self.width(), self.HEADER_PX)
        painter.drawControl(QtWidgets.QStyle.ControlElement.CE_PushButtonBevel, button)
        button.rect = QtCore.QRect(8, 7, 8, 8)
        style = QtWidgets.QStyle.PrimitiveElement
        painter.drawPrimitive(style.PE_IndicatorArrowRight if self._collapsed else style.PE_IndicatorArrowDown, button)
        painter.drawText(
            QtCore.QRect(24, 0, self.width(), self.HEADER_PX), QtCore.Qt.AlignmentFlag.AlignVCenter, self._text
        )


class qMRMLNodeComboBox(QtWidgets.QWidget):
    """Lists the scene's nodes of the given classes."""

    currentNodeChanged = Signal(object)

    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent)
        self._scene, self._tags, self._ids, self._id = None, [], [], ""
        self._attributes: list[tuple[str, str]] = []
        self._values = {
            "nodeTypes": [],
            "showChildNodeTypes": True,
            "addEnabled": True,
            "removeEnabled": True,
            "renameEnabled": False,
            "noneEnabled": False,
            "noneDisplay": "None",
        }
        layout = QtWidgets.QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        self._box = QtWidgets.QComboBox(self)
        self._box.setSizeAdjustPolicy(QtWidgets.QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        layout.addWidget(self._box)
        self._box.activated.connect(self._chosen)

    @staticmethod
    def _value(kind: type | str, name: str) -> Property:
        def read(self: qMRMLNodeComboBox) -> object:
            return self._values[name]

        def write(self: qMRMLNodeComboBox, value: object) -> None:
            self._values[name] = value
            self._fill()

        return Property(kind, read, write)

    nodeTypes = _value("QStringList", "nodeTypes")
    showChildNodeTypes = _value(bool, "showChildNodeTypes")
    addEnabled = _value(bool, "addEnabled")
    removeEnabled = _value(bool, "removeEnabled")
    renameEnabled = _value(bool, "renameEnabled")
    noneEnabled = _value(bool, "noneEnabled")
    noneDisplay = _value(str, "noneDisplay")

    def mrmlScene(self):
        return self._scene

    def _stop_observing(self) -> None:
        """The host's own: hear of the scene's nodes no more."""
        for tag in self._tags:
            self._scene.RemoveObserver(tag)
        self._tags = []

    def setMRMLScene(self, scene) -> None:
        self._stop_observing()
        self._scene = scene
        if scene is not None:
            self._tags = [
                scene.AddObserver(scene.NodeAddedEvent, self._changed),
                scene.AddObserver(scene.NodeRemovedEvent, self._changed),
            ]
        self._fill()

    def addAttribute(self, node_type: str, name: str) -> None:
        """List nodes of this type only if they have the attribute."""
        self._attributes.append((node_type, name))
        self._fill()

    def _has_attributes(self, node) -> bool:
        return all(node.GetAttribute(name) for kind, name in self._attributes if node.IsA(kind))

    def currentNode(self):
        return self._scene.GetNodeByID(self._id) if self._scene is not None and self._id else None

    def setCurrentNode(self, node) -> None:
        self._fill()  # a node may have got its attributes meanwhile
        self._select(node.GetID() if node is not None else "")

    @calldata_type(VTK_OBJECT)
    def _changed(self, _scene, _event, _node) -> None:
        self._fill()

    def _fill(self) -> None:
        nodes = [
            node
            for kind in self._values["nodeTypes"]
            for node in (self._scene.GetNodesByClass(kind) if self._scene is not None else ())
            if not node.GetHideFromEditors()
            and (self._values["showChildNodeTypes"] or node.GetClassName() == kind)
            and self._has_attributes(node)
        ]
        without = not nodes or self._values["noneEnabled"]
        self._ids = [""] * without + [node.GetID() for node in nodes]
        self._box.clear()
        self._box.addItems([self._values["noneDisplay"]] * without + [node.GetName() for node in nodes])
        self._select(self._id if self._id in self._ids else self._ids[0])

    def _chosen(self, index: int) -> None:
        self._select(self._ids[index])

    def _select(self, node_id: str) -> None:
        if node_id not in self._ids:
            node_id = self._ids[0] if self._ids else ""
        changed, self._id = node_id != self._id, node_id
        if self._ids:
            self._box.setCurrentIndex(self._ids.index(node_id))
        if changed:
            self.currentNodeChanged.emit(self.currentNode())


class qMRMLTableView(QtWidgets.QTableView):
    """Shows a table node, and its changes."""

    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent)
        self._scene = self._node = self._tag = None
        self.setModel(QtGui.QStandardItemModel(self))
        self.verticalHeader().hide()

    def mrmlScene(self):
        return self._scene

    def setMRMLScene(self, scene) -> None:
        self._scene = scene

    def mrmlTableNode(self):
        return self._node

    def setMRMLTableNode(self, node) -> None:
        if self._node is not None:
            self._node.RemoveObserver(self._tag)
        self._node = node
        if node is not None:
            self._tag = node.AddObserver(vtkCommand.ModifiedEvent, self._fill)
        self._fill()
        self.resizeColumnsToContents()

    def _fill(self, _caller: object = None, _event: object = None) -> None:
        table = self._node.GetTable() if self._node is not None else vtkTable()
        rows, columns = table.GetNumberOfRows(), table.GetNumberOfColumns()
        self.model().setRowCount(0)
        self.model().setColumnCount(columns)
        self.model().setHorizontalHeaderLabels([table.GetColumn(n).GetName() for n in range(columns)])
        for row in range(rows):
            self.model().appendRow([QtGui.QStandardItem(self._node.GetCellText(row, n)) for n in range(columns)])


class ctkSliderWidget(QtWidgets.QWidget):
    """A slider and a spin box for the same number."""

    valueChanged = Signal(float)
    STEPS = 1000

    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent)
        layout = QtWidgets.QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        self._slider, self._box = QtWidgets.QSlider(QtCore.Qt.Orientation.Horizontal), QtWidgets.QDoubleSpinBox()
        self._slider.setRange(0, self.STEPS)
        layout.addWidget(self._slider, 1)
        layout.addWidget(self._box)
        self._slider.sliderMoved.connect(lambda step: self._box.setValue(self._box.maximum() * step / self.STEPS))
        self._box.valueChanged.connect(self._changed)

    def _changed(self, value: float) -> None:
        self._slider.setValue(round(value / self._box.maximum() * self.STEPS))
        self.valueChanged.emit(value)

    value = Property(float, lambda self: self._box.value(), lambda self, value: self._box.setValue(value))
    maximum = Property(float, lambda self: self._box.maximum(), lambda self, value: self._box.setMaximum(value))
    decimals = Property(int, lambda self: self._box.decimals(), lambda self, value: self._box.setDecimals(value))
    singleStep = Property(
        float, lambda self: self._box.singleStep(), lambda self, value: self._box.setSingleStep(value)
    )


class ctkPathLineEdit(QtWidgets.QWidget):
    """A path with a button to choose it."""

    currentPathChanged = Signal(str)

    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent)
        layout = QtWidgets.QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        self._edit, button = QtWidgets.QComboBox(self), QtWidgets.QToolButton(self)
        self._edit.setEditable(True)
        button.setText("...")
        layout.addWidget(self._edit, 1)
        layout.addWidget(button)
        self._edit.editTextChanged.connect(self.currentPathChanged)
        self._values = {"filters": 0, "settingKey": "", "showHistoryButton": True}

    currentPath = Property(str, lambda self: self._edit.currentText(), lambda self, path: self._edit.setEditText(path))
    filters = Property(
        int, lambda self: self._values["filters"], lambda self, value: self._values.update(filters=value)
    )
    settingKey = Property(
        str, lambda self: self._values["settingKey"], lambda self, value: self._values.update(settingKey=value)
    )


CLASSES = {
    made.__name__: made
    for made in (qMRMLWidget, ctkCollapsibleButton, qMRMLNodeComboBox, qMRMLTableView, ctkSliderWidget, ctkPathLineEdit)
}
