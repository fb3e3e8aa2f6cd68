"""Rules as versioned data → holds → verdicts; one person explained; a draft simulated on everybody."""
