"""The rules between VERIS fields as its community's own checker states them (bin/checkValidity.py), in our words: what
each rule wants of an incident, as (name, whether it holds). Written from reading the checker; nothing of it is copied."""

from __future__ import annotations

from typing import Any


def broken(incident: dict[str, Any]) -> list[str]:
    """The names of the rules that an incident breaks."""
    action, attribute = incident.get("action", {}), incident.get("attribute", {})
    chain = incident.get("value_chain", {})

    def has(section: dict[str, Any], part: str, variety: str, key: str = "variety") -> bool:
        return variety in section.get(part, {}).get(key, [])

    amounts = [d.get("amount", 0) for d in attribute.get("confidentiality", {}).get("data", [])]
    losses = [d.get("amount", 0) for d in incident.get("impact", {}).get("loss", [])]
    secondary = incident.get("victim", {}).get("secondary", {})
    loses = has(action, "physical", "Theft") or has(action, "error", "Loss")
    rules = {
        "malware installs": "malware" not in action or has(attribute, "integrity", "Software installation"),
        "malware is developed": "malware" not in action or bool(chain.get("development", {}).get("variety")),
        "people alter their behaviour": "social" not in action
        or has(attribute, "integrity", "Alter behavior"),
        "SQLi repurposes": not has(action, "hacking", "SQLi") or has(attribute, "integrity", "Repurpose"),
        "confirmed has attributes": incident.get("security_incident") != "Confirmed" or bool(attribute),
        "certainty is said": "security_incident" in incident,
        "what is stolen is lost": not loses or has(attribute, "availability", "Loss"),
        "plus agrees": "confidentiality" not in incident.get("plus", {}).get("attribute", {})
        or "confidentiality" in attribute,
        "losses add up": sum(losses) <= incident.get("impact", {}).get("overall_amount", 0) or not losses,
        "misuse is from within": "misuse" not in action
        or bool({"internal", "partner"} & set(incident["actor"])),
        "data add up": max(amounts, default=0) <= attribute.get("confidentiality", {}).get("data_total", 0)
        or not amounts,
        "secondary victims add up": len(secondary.get("victim_id", [])) <= secondary.get("amount", 0)
        or not secondary.get("victim_id"),
        "phishing has mail": not has(action, "social", "Phishing")
        or (has(chain, "development", "Email") and has(chain, "targeting", "Email addresses")),
        "ransom is cashed": not has(action, "malware", "Ransomware")
        or has(chain, "cash-out", "Cryptocurrency"),
        "credentials were had": not has(action, "hacking", "Use of stolen creds")
        or has(chain, "targeting", "Lost or stolen credentials"),
        "vulnerability was known": not has(action, "hacking", "Exploit vuln")
        or (has(chain, "targeting", "Vulnerabilities") and has(chain, "development", "Exploit")),
        "misconfiguration was known": not has(action, "hacking", "Exploit misconfig")
        or has(chain, "targeting", "Misconfigurations"),
        "regions are six digits": all(len(r) == 6 for r in incident.get("victim", {}).get("region", [])),
    }
    return [name for name, holds in rules.items() if not holds]
