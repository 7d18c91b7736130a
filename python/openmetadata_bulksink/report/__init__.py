"""`OM_BULKSINK_REPORT=run.html` (or `.json`): one file that says afterwards what a run did (docs/report.md).

| file | what it holds |
|---|---|
| `gathering.py` | what is gathered during a run |
| `figures.py` | what a report says, as values |
| `advice.py` | what was slow, what was lost, what to change: figures to sentences |
| `page.py`, `charts.py`, `style.css` | figures to a page |
| `words.py` | numbers and causes in words |
| `file.py` | when the file is written, and how the run ended |
"""
