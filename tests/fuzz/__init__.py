"""Fuzzing of everything in Python that reads what others made: `python -m tests.fuzz --seconds 120`.

Where it lies:
- `targets`: one class a boundary: its seeds, and one input through it;
- `judge`: what must hold for every input, and who looks (time, memory, foreign exceptions, a canary patient);
- `mutate`: damage, aware of DICOM's elements;
- `child`: one target in a process of its own, driven by atheris where it is installed, else at random;
- `__main__`: shares out the time, and tries every find again in a process that is not slowed by a driver.
"""
