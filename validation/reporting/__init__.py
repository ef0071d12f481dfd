"""Reports: the table on the terminal, the HTML page, verdicts as JSON."""
