"""Who met a case: the definition in SQL, and the fast kernel that must equal it."""
