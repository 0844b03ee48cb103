// The wallet's side of SD-JWT VC, by @sd-jwt/sd-jwt-vc: what it holds, and what it shows of it.

import { X509Certificate } from "node:crypto";

import { KBJwt } from "@sd-jwt/core";
import { digest, ES256 } from "@sd-jwt/crypto-nodejs";
import { SDJwtVcInstance } from "@sd-jwt/sd-jwt-vc";

/** The credential as a DCQL query sees it. */
export async function described(held) {
  const claims = await (await library(held.holder_key)).getClaims(held.credential);
  const { authority } = held;
  return { credential_format: "dc+sd-jwt", vct: claims.vct, claims, authority, cryptographic_holder_binding: true };
}

/** Throws where the library does not believe it: signature, times, status list. */
export async function check(held) {
  await (await library(held.holder_key)).verify(held.credential);
}

/**
 * A presentation of what is disclosed, bound to a request.
 *
 * What may be bent. kb: members of the key binding JWT that replace the right ones; null: none at all. alter: a disclosed claim that is
 * given another value. drop: take a disclosure away once the presentation is bound.
 */
export async function present(held, disclosed, bound, { kb = {}, alter = null, drop = false }) {
  const right = { iat: Math.floor(Date.now() / 1000), aud: bound.audience, nonce: bound.nonce };
  const binding = kb === null || alter ? undefined : { kb: { payload: { ...right, ...kb } } };
  const shown = await (await library(held.holder_key)).present(held.credential, frame(disclosed), binding);
  if (alter) {
    return rebound(altered(shown, alter), right, held.holder_key);
  }
  return drop ? shown.split("~").toSpliced(-2, 1).join("~") : shown;
}

/** A presentation frame that opens exactly these claims. */
function frame(disclosed) {
  const isBranch = (value) => typeof value === "object" && value !== null;
  return Object.fromEntries(
    Object.entries(disclosed).map(([name, value]) => [name, isBranch(value) ? frame(value) : true]),
  );
}

function altered(shown, { path, value }) {
  const [issuerJwt, ...disclosures] = shown.split("~");
  const changed = disclosures.map((text) => {
    const content = text ? JSON.parse(Buffer.from(text, "base64url")) : [];
    return content[1] === path.at(-1) ? encoded([content[0], content[1], value]) : text;
  });
  return [issuerJwt, ...changed].join("~");
}

async function rebound(shown, payload, holderKey) {
  const sdHash = Buffer.from(await digest(shown, "sha-256")).toString("base64url");
  const kbJwt = new KBJwt({ header: { typ: "kb+jwt", alg: "ES256" }, payload: { ...payload, sd_hash: sdHash } });
  await kbJwt.sign(await ES256.getSigner(holderKey));
  return shown + kbJwt.encodeJwt();
}

function encoded(value) {
  return Buffer.from(JSON.stringify(value)).toString("base64url");
}

/** A library instance that believes the key in x5c: which authorities a wallet trusts is not what is tested here. */
async function library(holderKey) {
  const verifier = async (data, signature) => {
    const { x5c } = JSON.parse(Buffer.from(data.split(".")[0], "base64url").toString());
    const { publicKey } = new X509Certificate(Buffer.from(x5c[0], "base64"));
    return (await ES256.getVerifier(publicKey.export({ format: "jwk" })))(data, signature);
  };
  return new SDJwtVcInstance({
    hasher: digest,
    hashAlg: "sha-256",
    verifier,
    statusVerifier: verifier,
    kbSigner: await ES256.getSigner(holderKey),
    kbSignAlg: "ES256",
  });
}
