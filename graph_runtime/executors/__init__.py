"""Where nodes run: an executor is four verbs (start, submit, cancel, close); see `base`."""

from .base import Executor, Job, Message, NodeFailed
from .in_process import InProcessExecutor
from .workers import WorkerExecutor

__all__ = ["Executor", "InProcessExecutor", "Job", "Message", "NodeFailed", "WorkerExecutor"]
