"""The laboratory: what each paper claims and tries, the measurements, their records, the engine, the verdicts."""
