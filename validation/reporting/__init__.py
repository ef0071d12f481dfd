"""Report verdicts: the table on the terminal, the HTML page, the JSON file."""
