// All that the verifier may use beyond the language itself. This folder is compiled without the browser's library, so
// that a call to fetch, a timer or a store is a type error here. (The pages compile the same files with the library.)

declare class TextEncoder {
  encode(text: string): Uint8Array;
}

declare class TextDecoder {
  constructor(label: "utf-8", options: { fatal: true; ignoreBOM: true });
  decode(bytes: Uint8Array): string;
}

interface CryptoKey {
  readonly type: string;
}

interface CryptoKeyPair {
  readonly publicKey: CryptoKey;
  readonly privateKey: CryptoKey;
}

declare const crypto: {
  readonly subtle: {
    digest(algorithm: "SHA-256", data: Uint8Array<ArrayBuffer>): Promise<ArrayBuffer>;
    importKey(
      format: "raw",
      data: Uint8Array<ArrayBuffer>,
      algorithm: { name: "ECDSA"; namedCurve: "P-256" },
      extractable: boolean,
      usages: ["verify"],
    ): Promise<CryptoKey>;
    exportKey(format: "raw", key: CryptoKey): Promise<ArrayBuffer>;
    generateKey(
      algorithm: { name: "ECDSA"; namedCurve: "P-256" },
      extractable: boolean,
      usages: ["sign", "verify"],
    ): Promise<CryptoKeyPair>;
    sign(
      algorithm: { name: "ECDSA"; hash: "SHA-256" },
      key: CryptoKey,
      data: Uint8Array<ArrayBuffer>,
    ): Promise<ArrayBuffer>;
    verify(
      algorithm: { name: "ECDSA"; hash: "SHA-256" },
      key: CryptoKey,
      signature: Uint8Array<ArrayBuffer>,
      data: Uint8Array<ArrayBuffer>,
    ): Promise<boolean>;
  };
};
