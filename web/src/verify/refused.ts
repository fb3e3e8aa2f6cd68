// The one way in which a parser says no. Codes are those of docs/reference/refusals.md; none carries what was sent.

export type Code =
  | "too_many_bytes"
  | "inflates_too_much"
  | "unreadable"
  | "bad_message"
  | "bad_value"
  | "bad_number"
  | "cut_off"
  | "bad_signature"
  | "untrusted"
  | "rolled_back"
  | "bad_trust_list"
  | "wrong_base";

export class Refused extends Error {
  readonly code: Code;

  constructor(code: Code, hint = "") {
    super(hint === "" ? code : `${code}: ${hint}`);
    this.name = "Refused";
    this.code = code;
  }
}
