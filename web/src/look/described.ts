// Made by `python -m kangma.gateway.front.typescript web/src/look/described.ts`; held to /openapi.json by a test.

/** RFC 6749, 5.1. */
export interface Access {
  readonly access_token: string;
  readonly token_type: "Bearer";
  readonly expires_in: number;
  readonly scope: string;
}

export interface Agreed {
  readonly code: string;
}

/** `machine`: what deriving the code again gave at once. `answer_by`: until when people answer; `late`: they have not. `follows`: the evidence that an appeal which was granted led to. `text` is null once it is deleted. */
export interface AppealSaid {
  readonly appeal: string;
  readonly rule: string;
  /** ISO 8601 with offset. */
  readonly since: string;
  readonly outcome: "red" | "yellow" | "popup" | "remind" | "unknown";
  readonly why: "not_me" | "not_there" | "wrong_result" | "done" | "wrong_place" | "other";
  readonly text: string | null;
  readonly evidence: Wrong | null;
  readonly state: "open" | "proposed" | "granted" | "dismissed" | "settled" | "withdrawn";
  /** ISO 8601 with offset. */
  readonly filed_at: string;
  /** ISO 8601 with offset. */
  readonly answer_by: string;
  readonly late: boolean;
  readonly closed_at: string | null;
  readonly machine: "stands" | "gone";
  readonly answer: string | null;
  readonly follows: "clearance" | "retraction" | null;
  readonly steps: readonly AppealStep[];
}

export interface AppealStep {
  /** ISO 8601 with offset. */
  readonly at: string;
  readonly who: "resident" | "machine" | "officer";
  readonly what: "filed" | "stands" | "gone" | "looked" | "proposed" | "returned" | "granted" | "dismissed" | "settled" | "withdrawn";
}

/** `rule` and `since` as the hold has them. `text` in the resident's words: no names of others, please. */
export interface Appealing {
  readonly rule: string;
  /** ISO 8601 with offset. */
  readonly since: string;
  readonly why: "not_me" | "not_there" | "wrong_result" | "done" | "wrong_place" | "other";
  readonly text?: string;
  readonly evidence?: Wrong | null;
}

export interface AppealsSaid {
  readonly appeals: readonly AppealSaid[];
}

/** `key`: of ECDH, the phone's own. `signature` by the device's key over the UTF-8 text `KM1 slots`, a space, the resident, a space, `key`, a space, `at` in decimal. For one of those in your care the resident is followed by `/` and the number of their place. */
export interface AskingPlaces {
  /** A P-256 key: compressed point, hex. */
  readonly key: string;
  /** Seconds since 1970, now. */
  readonly at: number;
  /** An ES256 signature, r and s, hex. */
  readonly signature: string;
}

/** RFC 6749, 4.4 with RFC 7523, 2.2. */
export interface Assertion {
  /** client_credentials */
  readonly grant_type: string;
  /** urn:ietf:params:oauth:client-assertion-type:jwt-bearer */
  readonly client_assertion_type: string;
  /** A JWT, ES256 or EdDSA: iss and sub the client's name, aud this address, exp at most five minutes ahead, jti new. */
  readonly client_assertion: string;
  readonly client_id?: string | null;
  /** With spaces between; all of the client's without it. */
  readonly scope?: string | null;
}

/** The same for everybody. A code was sent if the document is known and the name is the one on it. */
export interface Binding {
  readonly binding: string;
  /** ISO 8601 with offset. */
  readonly expires_at: string;
}

/** `device`: how the list of devices calls this one. */
export interface Bound {
  readonly token: string;
  /** ISO 8601 with offset. */
  readonly expires_at: string;
  readonly resident: string;
  readonly name_mask: string;
  readonly device: string;
}

export interface Came {
  /** Seconds since 1970. */
  readonly at: number;
  readonly result: "pass" | "wait" | "unknown";
}

export interface CarerSaid {
  readonly carer: string;
  readonly how: "guardian" | "consent";
  /** ISO 8601 with offset. */
  readonly since: string;
}

export interface Carers {
  readonly carers: readonly CarerSaid[];
}

/** All that a partner is ever told. `expires_at` is the same for everybody at a time. */
export interface Checked {
  readonly result: "pass" | "refuse" | "unknown";
  /** ISO 8601 with offset. */
  readonly expires_at: string;
}

export interface Checking {
  readonly consent: string;
  /** The partner's own name of a ride, drawn by chance. */
  readonly ride: string;
}

export interface Checks {
  readonly checks: readonly Checking[];
}

/** A code: what, why, the way out and the end. It holds as at `as_of`, the moment of `release`. `way`: the legs to each better state in their order, empty where nothing is in the way, null where nothing is known of the person. */
export interface CodeSaid {
  readonly colour: "green" | "yellow" | "red" | "unknown";
  readonly notices: readonly Notice[];
  readonly holds: readonly HoldSaid[];
  readonly more_holds?: number;
  readonly way: readonly Leg[] | null;
  readonly next_change_at: string | null;
  readonly nat: Nat | null;
  readonly vaccination: "none" | "partial" | "basic" | "booster";
  readonly policy: PolicySaid;
  readonly name_mask: string;
  /** ISO 8601 with offset. */
  readonly as_of: string;
  readonly release: number;
}

export interface Confirming {
  readonly code: string;
  /** A P-256 key: compressed point, hex. */
  readonly device_key: string;
}

/** `consent` goes to the partner's app; `ride` is what the resident calls it. */
export interface Consent {
  readonly consent: string;
  readonly ride: string;
  /** ISO 8601 with offset. */
  readonly expires_at: string;
}

export interface Consented {
  readonly consent: string;
}

export interface Credential {
  readonly day: string;
  /** The COSE_Sign1, base64url without padding. */
  readonly text: string;
}

export interface Credentials {
  readonly credentials: readonly Credential[];
}

/** `seen_at`: when the device last renewed its token by its key, about once a month. Being used in between does not change it. */
export interface DeviceSaid {
  readonly device: string;
  /** ISO 8601 with offset. */
  readonly bound_at: string;
  /** ISO 8601 with offset. */
  readonly seen_at: string;
}

export interface Devices {
  readonly devices: readonly DeviceSaid[];
}

export interface Dose {
  readonly product: string;
  readonly dose: number;
  readonly given_on: string;
}

/** Everything about one resident. `known`: kind of document → what each says of them. */
export interface Export {
  /** ISO 8601 with offset. */
  readonly made_at: string;
  readonly code: CodeSaid | null;
  readonly known: { readonly [name: string]: readonly ({ readonly [name: string]: string | number | boolean | null })[] };
  readonly visits: readonly VisitSaid[];
  readonly devices: readonly DeviceSaid[];
  readonly others: readonly OtherSaid[];
  readonly looks: readonly LookSaid[];
  readonly appeals: readonly AppealSaid[];
}

/** What is wrong where: the path of a field or parameter, and which rule. Never what was sent. */
export interface FaultSaid {
  readonly path: string;
  readonly code: string;
  readonly hint: string;
}

export interface HoldSaid {
  readonly rule: string;
  readonly outcome: "red" | "yellow" | "popup" | "remind" | "unknown";
  /** ISO 8601 with offset. */
  readonly since: string;
  readonly until: string | null;
  readonly cap: string | null;
  readonly capped: boolean;
  readonly evidence: string;
  readonly authority: string;
  readonly authority_name: Words;
  readonly reason: Words;
  readonly way_out: Words;
  readonly clears: readonly Words[];
  readonly test_days: readonly number[];
  readonly test_dates: readonly string[];
  readonly then: string | null;
}

export interface Holders {
  /** A fresh key for today and each day ahead. */
  readonly holders: readonly string[];
}

/** What does as well, in one line. `since`: from when on it counts; `until`: how long a wait lasts. Both null: nobody can date it yet. */
export interface Instead {
  readonly zh: string;
  readonly en: string;
  readonly kind: "test" | "report" | "register" | "paper" | "wait" | "event";
  readonly since: string | null;
  readonly until: string | null;
}

export interface KeySaid {
  readonly kty: "OKP";
  readonly crv: "Ed25519";
  readonly x: string;
  readonly kid: string;
}

/** RFC 7517. */
export interface Keys {
  readonly keys: readonly KeySaid[];
}

/** The way to the next better state, its heading in words; `notice`: a green code beside which a notice stands. `earliest`: when it is reached if each step is done on its first date, at or before `as_of` at once; null: nobody can date it. `by_itself`: when the same comes by waiting alone; null: never, or nobody can date it. `or` says that in words. */
export interface Leg {
  readonly to: "yellow" | "notice" | "green";
  readonly zh: string;
  readonly en: string;
  readonly earliest: string | null;
  readonly by_itself: string | null;
  readonly steps: readonly Step[];
  readonly or: readonly Instead[];
}

export interface LookSaid {
  /** ISO 8601 with offset. */
  readonly at: string;
  readonly who: string;
  readonly purpose: string;
}

export interface Looks {
  readonly looks: readonly LookSaid[];
}

/** In the order in which it was asked. */
export interface ManyChecked {
  readonly checks: readonly Checked[];
}

/** A document and the name on it. */
export interface Named {
  /** 10, 14, 15, 16, 20, 34 or 99: docs/reference/kinds.md. */
  readonly id_type: string;
  readonly id_number: string;
  readonly name: string;
}

/** The last test with a result. `days` since a negative one. `pooled` and positive: the tube was, which says of nobody in it that they are; a single test of their own does. */
export interface Nat {
  readonly result: string;
  readonly sampled_at: string | null;
  /** ISO 8601 with offset. */
  readonly reported_at: string;
  readonly days: number | null;
  readonly pooled?: boolean;
}

/** RFC 6749, 5.2. */
export interface NoAccess {
  readonly error: "invalid_request" | "invalid_client" | "unsupported_grant_type" | "invalid_scope";
  readonly error_description: string;
}

/** An empty object, or no body at all. */
export type Nothing = Record<string, never>;

export interface Notice {
  readonly code: string;
  readonly kind: "popup" | "remind";
  readonly rule: string;
}

export interface OtherSaid {
  readonly other: number;
  readonly how: "guardian" | "consent";
  readonly name_mask: string;
  /** ISO 8601 with offset. */
  readonly since: string;
}

export interface Others {
  readonly others: readonly OtherSaid[];
}

export interface Paper {
  readonly text: string;
  /** base64 */
  readonly png: string;
  /** base64, one page of A4 */
  readonly pdf: string;
  /** ISO 8601 with offset. */
  readonly valid_until: string;
}

/** Places of sealed slots: docs/formats/sealed.md. */
export interface Places {
  /** HPKE message for `key`, base64url without padding. */
  readonly sealed: string;
}

export interface PolicySaid {
  readonly id: string;
  readonly version: string;
  readonly digest: string;
}

/** RFC 9457. `code`: docs/reference/refusals.md. */
export interface ProblemSaid {
  readonly title: string;
  readonly status: number;
  readonly code: string;
  readonly detail?: string | null;
  readonly where?: string | null;
  readonly faults?: readonly FaultSaid[] | null;
  readonly work?: WorkSet | null;
  /** Of a batch that was refused whole. */
  readonly receipt?: number | null;
}

/** received = accepted + duplicate + refused + quarantined. `rejects`: where the refused rows are listed. `held` waits for two people; released, its rows are in the receipt `became`. */
export interface ReceiptSaid {
  readonly receipt: number;
  readonly kind: string;
  readonly received: number;
  readonly accepted: number;
  readonly duplicate: number;
  readonly refused: number;
  readonly quarantined: number;
  readonly rejects: string | null;
  readonly state: "taken" | "refused" | "held" | "released" | "rejected";
  readonly became: number | null;
}

/** `column` where one is at fault; without it the row is, as a whole. `line` where the form has lines. */
export interface Reject {
  readonly row: number;
  readonly line?: number | null;
  readonly column?: string | null;
  readonly code: string;
}

/** The first thousand at most: place and code, never a value. */
export interface Rejects {
  readonly receipt: number;
  readonly refused: number;
  readonly rejects: readonly Reject[];
}

/** `signature` by the device's key over the UTF-8 text `KM1 token`, a space, `resident`, a space, `at` in decimal. */
export interface Renewing {
  readonly resident: string;
  /** Seconds since 1970, now. */
  readonly at: number;
  /** An ES256 signature, r and s, hex. */
  readonly signature: string;
}

export interface RideSaid {
  readonly ride: string;
  readonly partner: string;
  /** ISO 8601 with offset. */
  readonly since: string;
  /** ISO 8601 with offset. */
  readonly expires_at: string;
}

export interface Rides {
  readonly rides: readonly RideSaid[];
}

export interface Riding {
  readonly partner: string;
  /** The partner's own name of a ride, drawn by chance. */
  readonly ride: string;
}

/** A door's code as a phone read or typed it. `minute`: as the QR says it, or the phone's own when it was typed. */
export interface Scan {
  readonly venue: string;
  /** Whole minutes since 1970. */
  readonly minute: number;
  readonly code: string;
}

/** The visit is on the disk. `assumed`: nobody ended it yet, and `left_at` is how long the place's visits are taken to be. `late`: it was kept on the phone. `result`: what the door sees; null where nobody stands there any more. */
export interface ScannedIn {
  readonly visit: string;
  readonly place: string;
  /** ISO 8601 with offset. */
  readonly entered_at: string;
  /** ISO 8601 with offset. */
  readonly left_at: string;
  readonly assumed: boolean;
  readonly late: boolean;
  readonly result: "pass" | "wait" | "unknown" | null;
  readonly sealed: true;
}

/** `entered`: the scan by which you came; sent again with `left`, the later scan that ended the visit. */
export interface ScanningIn {
  readonly entered: Scan;
  readonly left?: Scan | null;
}

/** One thing to do, in one line. `since`: from when on it counts, at or before `as_of` at once; `until`: before when a test is to be taken, and how long a wait lasts. Both null: nobody can date it yet. `event`: what is not in the resident's hands, such as a discharge. `or`: what does as well. */
export interface Step {
  readonly kind: "test" | "report" | "register" | "paper" | "wait" | "event";
  readonly zh: string;
  readonly en: string;
  readonly since: string | null;
  readonly until: string | null;
  readonly tests: TestsAsked | null;
  readonly or: readonly Instead[];
}

export interface TestSaid {
  readonly specimen_id: string | null;
  readonly sampled_at: string | null;
  /** ISO 8601 with offset. */
  readonly reported_at: string;
  readonly method: string;
  readonly pooled: boolean;
  readonly result: string;
  readonly lab: string;
}

export interface Tests {
  readonly tests: readonly TestSaid[];
}

/** Each at least `apart_hours` after the one before. `single`: one of a tube that others share does not count. */
export interface TestsAsked {
  readonly count: number;
  readonly apart_hours: number;
  readonly single: boolean;
}

/** `device`: how the list of devices calls the one that signed. */
export interface Token {
  readonly token: string;
  /** ISO 8601 with offset. */
  readonly expires_at: string;
  readonly device: string;
}

/** All that a partner is told unasked: what it would be told if it asked about this ride now. */
export interface Turned {
  readonly result: "pass" | "refuse" | "unknown";
  /** ISO 8601 with offset. */
  readonly expires_at: string;
  /** The partner's own name of a ride, drawn by chance. */
  readonly ride: string;
}

export interface Vaccinations {
  readonly vaccinations: readonly Dose[];
}

export interface VenueCounts {
  readonly pass: number;
  readonly wait: number;
  readonly unknown: number;
  readonly left: number;
  readonly late: number;
}

/** How many came to a door; nobody is in it. `now` for the device's clock. */
export interface VenueSaid {
  readonly venue: string;
  readonly name: string;
  readonly now: number;
  readonly today: VenueCounts;
  readonly recent: readonly Came[];
}

/** `visit` and `sealed` for what a phone scanned in: the door does not know who came, and until tracing took it in, sealed, neither did this door. */
export interface VisitSaid {
  readonly visit: string | null;
  readonly sealed: boolean;
  readonly place: string | null;
  readonly kind: string | null;
  readonly district: string | null;
  /** ISO 8601 with offset. */
  readonly entered_at: string;
  /** ISO 8601 with offset. */
  readonly left_at: string;
  readonly source: string;
}

export interface Visits {
  readonly visits: readonly VisitSaid[];
}

export interface Words {
  readonly zh: string;
  readonly en: string;
}

/** Proof of work that is asked for (`kangma.gateway.front.defence.work`): find the number. */
export interface WorkSet {
  readonly algorithm: "SHA-256";
  readonly challenge: string;
  readonly maxnumber: number;
  readonly salt: string;
  readonly signature: string;
}

/** The evidence that is wrong, as far as the resident can name it: a test, a visit, or what the hold says of itself. */
export interface Wrong {
  /** docs/reference/kinds.md */
  readonly kind: string;
  /** Such as the number of the specimen. */
  readonly what?: string | null;
  /** When it is said to have been. */
  readonly at?: string | null;
}

/** Method and address of every call: what its address names (`at`), what is sent, what is answered. */
export interface Calls {
  "GET /public/{path}": { readonly at: { readonly path: string }; readonly said: unknown };
  "GET /openapi.json": { readonly said: unknown };
  "POST /v1/bindings": { readonly sent: Named; readonly said: Binding };
  "POST /v1/bindings/{binding}/confirm": { readonly at: { readonly binding: string }; readonly sent: Confirming; readonly said: Bound };
  "POST /v1/tokens": { readonly sent: Renewing; readonly said: Token };
  "GET /v1/me/code": { readonly said: CodeSaid };
  "POST /v1/me/credentials": { readonly sent: Holders; readonly said: Credentials };
  "POST /v1/me/slots": { readonly sent: AskingPlaces; readonly said: Places };
  "POST /v1/me/paper": { readonly sent: Nothing; readonly said: Paper };
  "GET /v1/me/tests": { readonly said: Tests };
  "GET /v1/me/vaccinations": { readonly said: Vaccinations };
  "GET /v1/me/visits": { readonly said: Visits };
  "POST /v1/me/visits": { readonly sent: ScanningIn; readonly said: ScannedIn };
  "GET /v1/me/looks": { readonly said: Looks };
  "GET /v1/me/export": { readonly said: Export };
  "GET /v1/me/appeals": { readonly said: AppealsSaid };
  "POST /v1/me/appeals": { readonly sent: Appealing; readonly said: AppealSaid };
  "DELETE /v1/me/appeals/{appeal}": { readonly at: { readonly appeal: string }; readonly said: undefined };
  "GET /v1/venue": { readonly said: VenueSaid };
  "GET /v1/me/devices": { readonly said: Devices };
  "DELETE /v1/me/devices/{device}": { readonly at: { readonly device: string }; readonly said: undefined };
  "GET /v1/me/others": { readonly said: Others };
  "POST /v1/me/others": { readonly sent: Named; readonly said: Binding };
  "POST /v1/me/others/{binding}/confirm": { readonly at: { readonly binding: string }; readonly sent: Agreed; readonly said: OtherSaid };
  "POST /v1/me/children": { readonly sent: Named; readonly said: OtherSaid };
  "DELETE /v1/me/others/{other}": { readonly at: { readonly other: number }; readonly said: undefined };
  "GET /v1/me/others/{other}/code": { readonly at: { readonly other: number }; readonly said: CodeSaid };
  "POST /v1/me/others/{other}/credentials": { readonly at: { readonly other: number }; readonly sent: Holders; readonly said: Credentials };
  "POST /v1/me/others/{other}/slots": { readonly at: { readonly other: number }; readonly sent: AskingPlaces; readonly said: Places };
  "POST /v1/me/others/{other}/visits": { readonly at: { readonly other: number }; readonly sent: ScanningIn; readonly said: ScannedIn };
  "GET /v1/me/carers": { readonly said: Carers };
  "DELETE /v1/me/carers/{carer}": { readonly at: { readonly carer: string }; readonly said: undefined };
  "DELETE /v1/me": { readonly said: undefined };
  "GET /v1/me/rides": { readonly said: Rides };
  "POST /v1/me/rides": { readonly sent: Riding; readonly said: Consent };
  "DELETE /v1/me/rides/{own_ride}": { readonly at: { readonly own_ride: string }; readonly said: undefined };
  "POST /oauth/token": { readonly sent: Assertion; readonly said: Access };
  "POST /source/v1/{kind}": { readonly at: { readonly kind: string }; readonly sent: Blob | string; readonly said: ReceiptSaid };
  "GET /source/v1/receipts/{receipt}": { readonly at: { readonly receipt: number }; readonly said: ReceiptSaid };
  "GET /source/v1/receipts/{receipt}/rejects": { readonly at: { readonly receipt: number }; readonly said: Rejects };
  "POST /partner/v1/rides/{ride}/check": { readonly at: { readonly ride: string }; readonly sent: Consented; readonly said: Checked };
  "POST /partner/v1/checks": { readonly sent: Checks; readonly said: ManyChecked };
  "DELETE /partner/v1/rides/{ride}": { readonly at: { readonly ride: string }; readonly said: undefined };
  "GET /partner/v1/keys": { readonly said: Keys };
}
