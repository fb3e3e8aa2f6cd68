// Passkeys on the page /members: enrolling one by invitation, and signing in with it. Everything else of the register
// works without a script; this cannot, since browsers hand out passkeys to scripts only. What it finds on the page is
// written in src/kangma/gateway/register/members.py; what the page says is the page's.

const encode = (bytes: ArrayBuffer): string =>
  btoa(String.fromCharCode(...new Uint8Array(bytes))).replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "");

const decode = (text: string): ArrayBuffer => {
  const plain = atob(text.replaceAll("-", "+").replaceAll("_", "/"));
  const made = new Uint8Array(plain.length);
  for (let i = 0; i < plain.length; i++) made[i] = plain.charCodeAt(i);
  return made.buffer;
};

interface Named {
  id: string;
  type: "public-key";
}
interface Creating {
  publicKey: Omit<PublicKeyCredentialCreationOptions, "challenge" | "user" | "excludeCredentials"> & {
    challenge: string;
    user: { id: string; name: string; displayName: string };
    excludeCredentials?: Named[];
  };
}
interface Asking {
  publicKey: Omit<PublicKeyCredentialRequestOptions, "challenge" | "allowCredentials"> & { challenge: string };
}

async function post(path: string, sent: unknown): Promise<Response> {
  const answer = await fetch(path, {
    method: "POST",
    credentials: "same-origin",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(sent),
  });
  if (!answer.ok) throw new Error(String(answer.status));
  return answer;
}

// The parts of a credential that the register reads, as WebAuthn Level 3 writes them to JSON. Spelled out, because
// PublicKeyCredential.toJSON is younger than most phones.
const head = (made: PublicKeyCredential) => ({
  id: made.id,
  rawId: encode(made.rawId),
  type: made.type,
  clientExtensionResults: {},
});

async function enrol(invitation: string): Promise<void> {
  const { publicKey } = (await (await post("/v1/enrolment/options", { invitation })).json()) as Creating;
  const made = (await navigator.credentials.create({
    publicKey: {
      ...publicKey,
      challenge: decode(publicKey.challenge),
      user: { ...publicKey.user, id: decode(publicKey.user.id) },
      excludeCredentials: (publicKey.excludeCredentials ?? []).map((c) => ({ type: c.type, id: decode(c.id) })),
    },
  })) as PublicKeyCredential;
  const told = made.response as AuthenticatorAttestationResponse;
  await post("/v1/enrolment", {
    invitation,
    credential: {
      ...head(made),
      response: { clientDataJSON: encode(told.clientDataJSON), attestationObject: encode(told.attestationObject) },
    },
  });
}

async function signIn(): Promise<void> {
  const { publicKey } = (await (await post("/v1/sign-in/options", {})).json()) as Asking;
  const made = (await navigator.credentials.get({
    publicKey: { ...publicKey, challenge: decode(publicKey.challenge), allowCredentials: [] },
  })) as PublicKeyCredential;
  const told = made.response as AuthenticatorAssertionResponse;
  await post("/v1/sign-in", {
    credential: {
      ...head(made),
      response: {
        clientDataJSON: encode(told.clientDataJSON),
        authenticatorData: encode(told.authenticatorData),
        signature: encode(told.signature),
        userHandle: told.userHandle ? encode(told.userHandle) : null,
      },
    },
  });
}

function begin(): void {
  const said = document.querySelector<HTMLElement>("[data-said]");
  const tell = (what: "working" | "done" | "refused" | "unsupported"): void => {
    if (said) said.textContent = said.dataset[what] ?? "";
  };
  // The invitation is in the fragment, which no server sees; it leaves the address bar and the history at once.
  const invitation = new URLSearchParams(location.hash.slice(1)).get("invitation") ?? "";
  if (invitation) history.replaceState(null, "", location.pathname + location.search);
  // On the page of one's own account the button adds a passkey for who is signed in.
  const another = document.querySelector<HTMLButtonElement>("[data-another]");
  const button = another ?? document.querySelector<HTMLButtonElement>(invitation ? "[data-enrol]" : "[data-signin]");
  if (!button) return;
  if (!("credentials" in navigator) || !("PublicKeyCredential" in window)) return tell("unsupported");
  button.hidden = false;
  button.addEventListener("click", () => {
    button.disabled = true;
    tell("working");
    const done = another ? enrol("") : invitation ? enrol(invitation).then(signIn) : signIn();
    done.then(
      () => {
        tell("done");
        location.reload();
      },
      () => {
        button.disabled = false;
        tell("refused");
      },
    );
  });
}

begin();
