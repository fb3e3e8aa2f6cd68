"""The register of incidents over HTTP: pages for people, JSON for programs, members by passkey and token.

`app.make_app` puts it together. Every handler takes the register, the time and the viewer from `asked` and answers with
what `Register` returned for that viewer; nothing here decides who sees what.
"""
