"""`make demo`: one ingestion twice, with upstream's sink and with ours, side by side."""
