"""Like for like: models x data x seeds under one budget, as one resumable piece of work.

`file` says what may be asked, `plan` checks all of it and makes the jobs (`sources`, `job`),
`runner` starts each in a `process` of its own and `board` shows how they go on; `summary` and
`results` turn what they leave into numbers and files, `page` and `chart` show them.
"""

from __future__ import annotations

from .file import Study, load_study
from .plan import Plan, make_plan
from .runner import Outcome, run_study

__all__ = ["Outcome", "Plan", "Study", "load_study", "make_plan", "run_study"]
