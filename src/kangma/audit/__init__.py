"""Everything again by another way, and what differs: for the auditor with the evidence, and for a stranger without."""
