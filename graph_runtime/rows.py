"""One node of a run as it is shown while the run goes on, in whatever face: the sum of the node's events so far.

row = Row("TrainLoRA")
for event in events:
    row.take(event)
row.state, row.step, row.total      # "running", 40, 300
"""

from __future__ import annotations

from dataclasses import dataclass, field

from .events import Event

ENDS = {
    "node_cached": "cached",
    "node_done": "done",
    "node_failed": "failed",
    "node_skipped": "skipped",
    "node_cancelled": "cancelled",
}
"""The state in which each kind of last event leaves its node."""


@dataclass
class Row:
    """One node as it is shown."""

    type: str
    state: str = "waiting"
    started: float = 0.0
    seconds: float = 0.0
    step: int = 0
    total: int = 0
    said: float = 0.0
    metrics: dict[str, float] = field(default_factory=dict)
    note: str = ""

    def take(self, event: Event) -> None:
        """Change by one event of this node."""
        data = event.data
        if event.kind == "node_started":
            self.state, self.started = "running", event.time
        elif event.kind == "node_progress":
            self.step, self.total = int(data.get("step", 0)), int(data.get("total", 0))
            self.note = str(data.get("message", "") or "")
        elif event.kind == "node_metric":
            value = data.get("value")
            self.metrics[str(data.get("name"))] = float("nan") if value is None else float(value)
        elif event.kind == "node_log":
            self.note = str(data.get("message", ""))
        elif event.kind in ENDS:
            self.state = ENDS[event.kind]
            self.seconds = float(data.get("seconds", 0.0)) or (event.time - self.started if self.started else 0.0)
            if event.kind == "node_skipped":
                self.note = f"because {data.get('because')} failed"

    def measures(self) -> str:
        """Return the latest metrics, as `loss 0.123`."""
        return "  ".join(f"{name} {value:.4g}" for name, value in self.metrics.items())
