"""Jobs: long work that somebody asked for and does not wait for, with progress, an end and a result.

A job is a row of control.db and, where it was given something to read, the parts of that. The worker
takes jobs in turn, a step at a time, and writes after each step where it goes on: after a crash the last
step comes again, so every step may be done twice. Whoever asks for a job, and the kinds of work there
are, stand in appliance/run.
"""

from __future__ import annotations

from appliance.jobs.marks import MARKS
from appliance.jobs.model import Job, JobState, Order, Step
from appliance.jobs.service import Jobs

__all__ = ["MARKS", "Job", "JobState", "Jobs", "Order", "Step"]
