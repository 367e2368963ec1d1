"""From what a study wants to records: plan, run, measure, verify."""
