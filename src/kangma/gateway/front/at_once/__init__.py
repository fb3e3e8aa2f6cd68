"""What is answered in front of the framework, because there is so much of it: codes, scan-ins, files, refusals."""
