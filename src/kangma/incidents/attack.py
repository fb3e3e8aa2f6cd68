"""A small table of MITRE ATT&CK (Enterprise) techniques: those that systems of this field have met or must expect.

ATT&CK® is a registered trademark of The MITRE Corporation; ids and names are cited. The table is not the whole of it:
any well-formed id is taken with the name that its editor gives, and `known` is handed on as an argument.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

ID = re.compile(r"T\d{4}(\.\d{3})?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Entry:
    name: str
    tactics: tuple[str, ...]  # short names of kill-chain phases, as in STIX bundles of ATT&CK
    veris: tuple[str, str] | None = None  # action and variety of VERIS, where there is one


def _entry(name: str, tactics: str, action: str = "", variety: str = "") -> Entry:
    return Entry(name, tuple(tactics.split()), (action, variety) if action else None)


TABLE: Mapping[str, Entry] = {
    "T1005": _entry("Data from Local System", "collection"),
    "T1020": _entry("Automated Exfiltration", "exfiltration"),
    "T1036": _entry("Masquerading", "defense-evasion"),
    "T1040": _entry("Network Sniffing", "credential-access discovery"),
    "T1041": _entry("Exfiltration Over C2 Channel", "exfiltration"),
    "T1056": _entry("Input Capture", "collection credential-access"),
    "T1059": _entry("Command and Scripting Interpreter", "execution", "hacking", "OS commanding"),
    "T1070": _entry("Indicator Removal", "defense-evasion"),
    "T1078": _entry(
        "Valid Accounts",
        "defense-evasion persistence privilege-escalation initial-access",
        "hacking",
        "Use of stolen creds",
    ),
    "T1078.004": _entry(
        "Cloud Accounts",
        "defense-evasion persistence privilege-escalation initial-access",
        "hacking",
        "Use of stolen creds",
    ),
    "T1087": _entry("Account Discovery", "discovery", "hacking", "Profile host"),
    "T1098": _entry("Account Manipulation", "persistence privilege-escalation"),
    "T1110": _entry("Brute Force", "credential-access", "hacking", "Brute force"),
    "T1110.003": _entry("Password Spraying", "credential-access", "hacking", "Brute force"),
    "T1110.004": _entry("Credential Stuffing", "credential-access", "hacking", "Use of stolen creds"),
    "T1119": _entry("Automated Collection", "collection"),
    "T1133": _entry("External Remote Services", "persistence initial-access"),
    "T1136": _entry("Create Account", "persistence"),
    "T1190": _entry("Exploit Public-Facing Application", "initial-access", "hacking", "Exploit vuln"),
    "T1195": _entry("Supply Chain Compromise", "initial-access"),
    "T1195.001": _entry("Compromise Software Dependencies and Development Tools", "initial-access"),
    "T1199": _entry("Trusted Relationship", "initial-access"),
    "T1204": _entry("User Execution", "execution"),
    "T1212": _entry("Exploitation for Credential Access", "credential-access", "hacking", "Exploit vuln"),
    "T1213": _entry("Data from Information Repositories", "collection"),
    "T1485": _entry("Data Destruction", "impact"),
    "T1486": _entry("Data Encrypted for Impact", "impact"),
    "T1489": _entry("Service Stop", "impact"),
    "T1491": _entry("Defacement", "impact"),
    "T1496": _entry("Resource Hijacking", "impact"),
    "T1498": _entry("Network Denial of Service", "impact", "hacking", "DoS"),
    "T1498.001": _entry("Direct Network Flood", "impact", "hacking", "DoS"),
    "T1498.002": _entry("Reflection Amplification", "impact", "hacking", "DoS"),
    "T1499": _entry("Endpoint Denial of Service", "impact", "hacking", "DoS"),
    "T1499.001": _entry("OS Exhaustion Flood", "impact", "hacking", "DoS"),
    "T1499.002": _entry("Service Exhaustion Flood", "impact", "hacking", "DoS"),
    "T1499.003": _entry("Application Exhaustion Flood", "impact", "hacking", "DoS"),
    "T1499.004": _entry("Application or System Exploitation", "impact", "hacking", "DoS"),
    "T1530": _entry("Data from Cloud Storage", "collection", "hacking", "Exploit misconfig"),
    "T1531": _entry("Account Access Removal", "impact"),
    "T1552": _entry("Unsecured Credentials", "credential-access"),
    "T1552.001": _entry("Credentials In Files", "credential-access"),
    "T1552.004": _entry("Private Keys", "credential-access"),
    "T1553": _entry("Subvert Trust Controls", "defense-evasion"),
    "T1556": _entry(
        "Modify Authentication Process", "credential-access defense-evasion persistence", "hacking", "Hijack"
    ),
    "T1557": _entry("Adversary-in-the-Middle", "credential-access collection", "hacking", "AitM"),
    "T1565": _entry("Data Manipulation", "impact"),
    "T1565.001": _entry("Stored Data Manipulation", "impact"),
    "T1565.002": _entry("Transmitted Data Manipulation", "impact"),
    "T1566": _entry("Phishing", "initial-access"),
    "T1567": _entry("Exfiltration Over Web Service", "exfiltration"),
    "T1583": _entry("Acquire Infrastructure", "resource-development"),
    "T1583.005": _entry("Botnet", "resource-development"),
    "T1584": _entry("Compromise Infrastructure", "resource-development"),
    "T1584.005": _entry("Botnet", "resource-development"),
    "T1587.003": _entry("Digital Certificates", "resource-development"),
    "T1588.004": _entry("Digital Certificates", "resource-development"),
    "T1589": _entry("Gather Victim Identity Information", "reconnaissance"),
    "T1595": _entry("Active Scanning", "reconnaissance", "hacking", "Scan network"),
    "T1606": _entry("Forge Web Credentials", "credential-access"),
}
