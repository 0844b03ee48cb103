// A wallet assembled from public libraries: OpenID4VP by @openid4vc/openid4vp, DCQL by dcql, the SD-JWT VC and its
// key binding by @sd-jwt/sd-jwt-vc, JOSE by jose. What is here only joins them, as an app would.
//
// A line in:
//   link            what a QR code or a button carried
//   trusted         PEM: the CA under which verifiers may ask this wallet
//   credential      an SD-JWT VC as issued; holder_key its private JWK
//   enc             content encryption to choose
//   post            null: GET; "library": POST as the library does it; "standard": POST as OpenID4VP 1.0, 5.10, says
//   kb              members of the key binding JWT that replace the right ones; null: present without one
//   refuse          null: answer; "plain" or "encrypted": post access_denied
// The line out: what was asked, shown and answered.

import { createHash, randomBytes, X509Certificate } from "node:crypto";

import { setGlobalConfig } from "@openid4vc/oauth2";
import { Openid4vpClient } from "@openid4vc/openid4vp";
import { digest, ES256 } from "@sd-jwt/crypto-nodejs";
import { SDJwtVcInstance } from "@sd-jwt/sd-jwt-vc";
import { DcqlQuery } from "dcql";
import { CompactEncrypt, compactVerify, decodeProtectedHeader, exportJWK, importJWK } from "jose";

import { serve } from "./conversation.mjs";

setGlobalConfig({ allowInsecureUrls: true }); // the house under test listens on loopback

const METADATA = {
  vp_formats_supported: { "dc+sd-jwt": { "sd-jwt_alg_values": ["ES256"], "kb-jwt_alg_values": ["ES256"] } },
  client_id_prefixes_supported: ["x509_hash", "x509_san_dns"],
  request_object_signing_alg_values_supported: ["ES256"],
  authorization_encryption_alg_values_supported: ["ECDH-ES"],
  authorization_encryption_enc_values_supported: ["A128GCM", "A256GCM"],
};

await serve(answer);

async function answer({ link, trusted, credential, holder_key, enc, post, kb, refuse }) {
  const nonce = post === "standard" ? randomBytes(16).toString("base64url") : undefined;
  const wallet = new Openid4vpClient({ callbacks: callbacks(trusted, nonce) });
  const { params } = wallet.parseOpenid4vpAuthorizationRequest({
    authorizationRequest: post ? `${link}&request_uri_method=post` : link,
  });
  const resolved = await wallet.resolveOpenId4vpAuthorizationRequest({
    authorizationRequestPayload: params,
    wallet: post ? { metadata: METADATA, nonce, expectedNonce: nonce } : undefined,
  });
  const asked = resolved.authorizationRequestPayload;

  const sdJwtVc = await reader(holder_key);
  await sdJwtVc.verify(credential); // signature, times and status list
  const matched = match(resolved.dcql.query, await sdJwtVc.getClaims(credential));
  const presentation = await sdJwtVc.present(credential, frame(matched.disclosed), keyBinding(asked, kb));

  const response = await respond(wallet, asked, enc, refuse, { [matched.id]: [presentation] });
  const submitted = await wallet.submitOpenid4vpAuthorizationResponse({
    authorizationRequestPayload: asked,
    ...response,
  });
  return {
    client: { prefix: resolved.client.prefix, effective: resolved.client.effective },
    version: resolved.version,
    wallet_nonce_echoed: asked.wallet_nonce === nonce && nonce !== undefined,
    query: resolved.dcql.query,
    disclosed: matched.disclosed,
    presentation,
    jwe: response.jarm ? decodeProtectedHeader(response.jarm.responseJwt) : null,
    status: submitted.response.status,
    body: await submitted.response.json(),
  };
}

/** The response, encrypted by the library. It leaves errors in clear to its app (OpenID4VP 1.0, 8.5, allows both). */
async function respond(wallet, asked, enc, refuse, vpToken) {
  if (refuse === "plain") {
    return { authorizationResponsePayload: { error: "access_denied", state: asked.state } };
  }
  return wallet.createOpenid4vpAuthorizationResponse({
    authorizationRequestPayload: asked,
    authorizationResponsePayload: refuse ? { error: "access_denied" } : { vp_token: vpToken },
    jarm: {
      encryption: {},
      serverMetadata: {
        authorization_signing_alg_values_supported: [],
        authorization_encryption_alg_values_supported: ["ECDH-ES"],
        authorization_encryption_enc_values_supported: [enc],
      },
    },
  });
}

/** What the protocol library wants from its app: hashing, signatures, encryption, HTTP. */
function callbacks(trusted, nonce) {
  return {
    fetch: (url, options) => fetch(url, asTheSpecificationSays(options, nonce)),
    hash: (data, algorithm) => createHash(algorithm.replace("-", "")).update(data).digest(),
    getX509CertificateMetadata: (certificate) => {
      const names = (new X509Certificate(Buffer.from(certificate, "base64")).subjectAltName ?? "").split(", ");
      const of = (kind) => names.filter((name) => name.startsWith(kind)).map((name) => name.slice(kind.length));
      return { sanDnsNames: of("DNS:"), sanUriNames: of("URI:") };
    },
    verifyJwt: async (signer, jwt) => {
      const key = leafKey(signer.x5c, trusted);
      await compactVerify(jwt.compact, key, { algorithms: ["ES256"] });
      return { verified: true, signerJwk: await exportJWK(key) };
    },
    encryptJwe: async ({ publicJwk, alg, enc, apu, apv }, data) => {
      const encoder = new CompactEncrypt(new TextEncoder().encode(data))
        .setProtectedHeader({ alg, enc, kid: publicJwk.kid })
        .setKeyManagementParameters({ apu: bytes(apu), apv: bytes(apv) });
      return { encryptionJwk: publicJwk, jwe: await encoder.encrypt(await importJWK(publicJwk, alg)) };
    },
  };
}

/** The library posts the members of wallet_metadata one by one and no wallet_nonce: put right where asked. */
function asTheSpecificationSays(options, nonce) {
  if (nonce === undefined || !String(options.headers.Accept ?? "").includes("oauth-authz-req+jwt")) {
    return options;
  }
  const form = { wallet_metadata: JSON.stringify(METADATA), wallet_nonce: nonce };
  return { ...options, method: "POST", body: new URLSearchParams(form).toString() };
}

/** The public key of the leaf of an x5c, whose chain must end under the trusted CA. */
function leafKey(x5c, trusted) {
  const chain = x5c.map((certificate) => new X509Certificate(Buffer.from(certificate, "base64")));
  const parents = [...chain.slice(1), new X509Certificate(trusted)];
  chain.forEach((certificate, index) => {
    if (!certificate.checkIssued(parents[index]) || !certificate.verify(parents[index].publicKey)) {
      throw new Error("x5c does not end under the trusted CA");
    }
  });
  return chain[0].publicKey;
}

/** A library instance that believes the key in x5c: which authorities a wallet trusts is not what is tested here. */
async function reader(holderKey) {
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

/** The credential query that this credential answers, and the claims to disclose for it. */
function match(query, claims) {
  const parsed = DcqlQuery.parse(query);
  DcqlQuery.validate(parsed);
  const held = {
    credential_format: "dc+sd-jwt",
    vct: claims.vct,
    claims,
    cryptographic_holder_binding: true,
  };
  const result = DcqlQuery.query(parsed, [held]);
  if (!result.can_be_satisfied) {
    throw new Error("the credential does not satisfy the query");
  }
  const [id, found] = Object.entries(result.credential_matches).find(([, candidate]) => candidate.success);
  return { id, disclosed: found.valid_credentials[0].claims.valid_claim_sets[0].output };
}

/** A presentation frame that opens exactly these claims. */
function frame(disclosed) {
  const isBranch = (value) => typeof value === "object" && value !== null;
  return Object.fromEntries(
    Object.entries(disclosed).map(([name, value]) => [name, isBranch(value) ? frame(value) : true]),
  );
}

function keyBinding(asked, replaced) {
  if (replaced === null) {
    return undefined;
  }
  const right = { iat: Math.floor(Date.now() / 1000), aud: asked.client_id, nonce: asked.nonce };
  return { kb: { payload: { ...right, ...replaced } } };
}

function bytes(text) {
  return text === undefined ? undefined : new Uint8Array(Buffer.from(text, "base64url"));
}
