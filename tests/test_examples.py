"""The examples run as they are."""

from pathlib import Path

import nbformat
from nbclient import NotebookClient

ROOT = Path(__file__).parent.parent


def test_the_tour_runs_from_top_to_bottom() -> None:
    notebook = nbformat.read(ROOT / "examples" / "tour.ipynb", as_version=4)
    NotebookClient(notebook, timeout=60, resources={"metadata": {"path": str(ROOT)}}).execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    assert any("image/png" in output.get("data", {}) for output in outputs)
    assert not any(cell.get("outputs") for cell in _stored())


def _stored() -> list[nbformat.NotebookNode]:
    """The notebook as committed: without outputs, which would age."""
    cells: list[nbformat.NotebookNode] = nbformat.read(ROOT / "examples" / "tour.ipynb", as_version=4).cells
    return cells
