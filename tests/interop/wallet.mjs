// A wallet assembled from public libraries: OpenID4VP by @openid4vc/openid4vp, DCQL by dcql, SD-JWT VC and its key
// binding by @sd-jwt/sd-jwt-vc, mdoc by @owf/mdoc, JOSE by jose. What is here only joins them, as an app would.
//
// A line in:
//   link            what a QR code or a button carried; or in its place
//   request         {"origin", "protocol", "data"}: what a page asked for through the Digital Credentials API
//   trusted         PEM: the CA under which verifiers may ask this wallet
//   held            credentials: {"format", "credential" as issued, "holder_key", a private JWK, "authority"}
//   issuers         PEM: the CAs of issuers of mdocs that the wallet believes
//   pick            formats to answer with; null: the first that fits. More than one answers more than was asked
//   enc             content encryption to choose
//   post            null: GET; "library": POST as the library does it; "standard": POST as OpenID4VP 1.0, 5.10, says
//   refuse          null: answer; "plain" or "encrypted": post access_denied
//   careless        true: show what the libraries do not believe, whoever issued it
//   more, less      paths to disclose beside what was asked for, and not to disclose though it was
//   annex_b         true: bind an mdoc as ISO/IEC 18013-7:2024, Annex B, has it
//   bent            by format, what the presentation gets wrong: see wallet_sd_jwt.mjs and wallet_mdoc.mjs
// The line out: what was asked, shown and answered; `data` is what a page gets.

import { createHash, randomBytes, X509Certificate } from "node:crypto";

import { setGlobalConfig } from "@openid4vc/oauth2";
import { extractEncryptionJwkFromJwks, Openid4vpClient } from "@openid4vc/openid4vp";
import { DcqlQuery } from "dcql";
import { CompactEncrypt, compactVerify, decodeProtectedHeader, exportJWK, importJWK } from "jose";

import { leafUnder } from "./certificates.mjs";
import { serve } from "./conversation.mjs";
import * as mdoc from "./wallet_mdoc.mjs";
import * as sdJwt from "./wallet_sd_jwt.mjs";

setGlobalConfig({ allowInsecureUrls: true }); // the house under test listens on loopback

const FORMATS = { "dc+sd-jwt": sdJwt, mso_mdoc: mdoc };
const ALGORITHMS = ["ECDH-ES"];
const METADATA = {
  vp_formats_supported: {
    "dc+sd-jwt": { "sd-jwt_alg_values": ["ES256"], "kb-jwt_alg_values": ["ES256"] },
    mso_mdoc: { issuerauth_alg_values: [-7], deviceauth_alg_values: [-7] },
  },
  client_id_prefixes_supported: ["x509_hash", "x509_san_dns"],
  request_object_signing_alg_values_supported: ["ES256"],
  authorization_encryption_alg_values_supported: ALGORITHMS,
  authorization_encryption_enc_values_supported: ["A128GCM", "A256GCM"],
};

await serve(answer);

async function answer(told) {
  const nonce = told.post === "standard" ? randomBytes(16).toString("base64url") : undefined;
  const wallet = new Openid4vpClient({ callbacks: callbacks(told.trusted, nonce) });
  const resolved = await read(wallet, told, nonce);
  const asked = resolved.authorizationRequestPayload;
  const bound = binding(asked, told);
  const answers = told.refuse ? [] : await shown(resolved, told, bound);
  const vpToken = Object.fromEntries(answers.map(({ id, presentation }) => [id, [presentation]]));
  const response = await respond(wallet, asked, told, bound, vpToken);
  return {
    client: { prefix: resolved.client.prefix, effective: resolved.client.effective },
    version: resolved.version,
    wallet_nonce_echoed: asked.wallet_nonce === nonce && nonce !== undefined,
    query: resolved.dcql.query,
    answers,
    jwe: response.jarm ? decodeProtectedHeader(response.jarm.responseJwt) : null,
    ...(told.request ? { data: handedBack(response) } : await send(wallet, asked, response)),
  };
}

/** The request, verified. */
async function read(wallet, { link, request, post }, nonce) {
  const authorizationRequest = request?.data ?? (post ? `${link}&request_uri_method=post` : link);
  const { params } = wallet.parseOpenid4vpAuthorizationRequest({ authorizationRequest });
  return wallet.resolveOpenId4vpAuthorizationRequest({
    authorizationRequestPayload: params,
    origin: request?.origin,
    wallet: post ? { metadata: METADATA, nonce, expectedNonce: nonce } : undefined,
  });
}

/** What the holder shows: the presentations, each for its credential query. */
async function shown(resolved, told, bound) {
  const query = DcqlQuery.parse(told.careless ? ofAnybody(resolved.dcql.query) : resolved.dcql.query);
  DcqlQuery.validate(query);
  const descriptions = told.held.map((held) => FORMATS[held.format].described(held, told.bent[held.format] ?? {}));
  const result = DcqlQuery.query(query, await Promise.all(descriptions));
  if (!result.can_be_satisfied) {
    throw new Error("no credential satisfies the query");
  }
  return Promise.all(
    chosen(result, told).map(async ({ id, held, disclosed }) => {
      const format = FORMATS[held.format];
      if (!told.careless) {
        await format.check(held, told.issuers);
      }
      const wanted = without(told.less, including(told.more, disclosed));
      const presentation = await format.present(held, wanted, bound, told.bent[held.format] ?? {});
      return { id, format: held.format, presentation };
    }),
  );
}

/** The query without the authorities that it names. */
function ofAnybody(query) {
  return { ...query, credentials: query.credentials.map(({ trusted_authorities, ...rest }) => rest) };
}

/** The credential queries to answer, each with the credential for it and the claims that it asks for. */
function chosen(result, { held, pick }) {
  const options = result.credential_sets?.flatMap((set) => set.matching_options) ?? [
    result.credentials.map(({ id }) => id),
  ];
  const matches = options.flat().map((id) => {
    const [first] = result.credential_matches[id].valid_credentials;
    const disclosed = first.claims.valid_claim_sets[0].output;
    return { id, held: held[first.input_credential_index], disclosed };
  });
  const formats = pick ?? [matches[0].held.format];
  return matches.filter((match) => formats.includes(match.held.format));
}

/** What a presentation is bound to. Through the API that is the page's origin, for a signed request too (A.4). */
function binding(asked, { request, annex_b }) {
  const jwks = asked.client_metadata?.jwks;
  return {
    audience: request ? `origin:${request.origin}` : asked.client_id,
    clientId: asked.client_id,
    nonce: asked.nonce,
    responseUri: asked.response_uri,
    origin: request?.origin,
    encryptionKey: jwks && extractEncryptionJwkFromJwks(jwks, { supportedAlgValues: ALGORITHMS }),
    mdocNonce: annex_b ? randomBytes(16).toString("base64url") : undefined,
  };
}

/** The response, encrypted by the library where the request asks for that. */
async function respond(wallet, asked, { enc, refuse }, { encryptionKey, mdocNonce, origin }, vpToken) {
  if (refuse === "plain") {
    // The library leaves errors in clear to its app; OpenID4VP 1.0, 8.5, allows both.
    return { authorizationResponsePayload: { error: "access_denied", state: asked.state } };
  }
  return wallet.createOpenid4vpAuthorizationResponse({
    authorizationRequestPayload: asked,
    authorizationResponsePayload: refuse ? { error: "access_denied" } : { vp_token: vpToken },
    origin,
    jarm: encryptionKey && {
      encryption: { jwk: encryptionKey, nonce: mdocNonce },
      serverMetadata: {
        authorization_signing_alg_values_supported: [],
        authorization_encryption_alg_values_supported: ALGORITHMS,
        authorization_encryption_enc_values_supported: [enc],
      },
    },
  });
}

/** The data of a DigitalCredential: the library makes the response, and its app hands it to the browser. */
function handedBack({ jarm, authorizationResponsePayload }) {
  return jarm ? { response: jarm.responseJwt } : { error: authorizationResponsePayload.error };
}

async function send(wallet, asked, response) {
  const submitted = await wallet.submitOpenid4vpAuthorizationResponse({
    authorizationRequestPayload: asked,
    ...response,
  });
  return { status: submitted.response.status, body: await submitted.response.json() };
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
      const chain = signer.x5c.map((certificate) => Buffer.from(certificate, "base64"));
      const key = leafUnder([trusted], chain).publicKey;
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

/** The claims, and these paths beside them. */
function including(paths, disclosed) {
  const all = structuredClone(disclosed);
  for (const path of paths) {
    const branch = path.slice(0, -1).reduce((inner, step) => (inner[step] ??= {}), all);
    branch[path.at(-1)] = true;
  }
  return all;
}

/** The claims, and these paths not among them. */
function without(paths, disclosed) {
  const rest = structuredClone(disclosed);
  for (const path of paths) {
    const branch = path.slice(0, -1).reduce((inner, step) => inner?.[step], rest);
    delete branch?.[path.at(-1)];
  }
  return rest;
}

function bytes(text) {
  return text === undefined ? undefined : new Uint8Array(Buffer.from(text, "base64url"));
}
