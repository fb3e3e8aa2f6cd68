"""The front door: residents, doors, sources and partners over HTTP. `app.py` has every route and the order of layers."""
