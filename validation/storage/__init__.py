"""A portrait on disk while it grows: chunks, locks, what is done and what is damaged; knows no model."""
