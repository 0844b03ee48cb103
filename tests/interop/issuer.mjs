// An issuing authority by the libraries @sd-jwt/sd-jwt-vc, @sd-jwt/jwt-status-list and @owf/mdoc.
//
// A line in, one of:
//   {"payload", "frame", "hash", "x5c", "key"}   answered {"credential"}: an SD-JWT VC; key is a private JWK
//   {"doc_type", "name_spaces", "validity", "hash", "holder", "x5c", "key"}   answered {"credential"}: an mdoc, as its
//       IssuerSigned; values as cbor_values.mjs reads them, holder is a public JWK
//   {"statuses", "bits", "payload", "cwt", "x5c", "key"}   answered {"token"}: a Status List Token; as CWT, where that is
//       true, base64url

import {
  cborEncode,
  CoseKey,
  DeviceKey,
  Header,
  Issuer,
  ProtectedHeaders,
  Sign1,
  SignatureAlgorithm,
  UnprotectedHeaders,
} from "@owf/mdoc";
import { digest, ES256, generateSalt } from "@sd-jwt/crypto-nodejs";
import { createHeaderAndPayload, StatusList } from "@sd-jwt/jwt-status-list";
import { SDJwtVcInstance } from "@sd-jwt/sd-jwt-vc";
import { importJWK, SignJWT } from "jose";

import { fromJson } from "./cbor_values.mjs";
import { serve } from "./conversation.mjs";
import { context } from "./mdoc_context.mjs";

await serve(async (asked) => {
  if ("statuses" in asked) {
    return asked.cwt ? statusListAsCwt(asked) : statusList(asked);
  }
  return "doc_type" in asked ? document(asked) : credential(asked);
});

async function credential({ payload, frame, hash, x5c, key }) {
  const signer = await ES256.getSigner(key);
  const issuer = new SDJwtVcInstance({
    hasher: digest,
    hashAlg: hash,
    saltGenerator: generateSalt,
    signer,
    signAlg: "ES256",
  });
  return { credential: await issuer.issue(payload, frame, { header: { x5c } }) };
}

async function document({ doc_type, name_spaces, validity, hash, holder, x5c, key }) {
  const issuer = new Issuer(doc_type, context);
  for (const [name, elements] of Object.entries(name_spaces)) {
    issuer.addIssuerNamespace(name, fromJson(elements));
  }
  const day = (name) => new Date(validity[name] * 1000);
  const issuerSigned = await issuer.sign({
    signingKey: CoseKey.fromJwk(key),
    algorithm: SignatureAlgorithm.ES256,
    digestAlgorithm: hash,
    deviceKeyInfo: { deviceKey: DeviceKey.fromJwk(holder) },
    validityInfo: { signed: day("signed"), validFrom: day("from"), validUntil: day("until") },
    certificates: x5c.map(der),
  });
  return { credential: issuerSigned.encodedForOid4Vci };
}

async function statusList({ statuses, bits, payload, x5c, key }) {
  const list = new StatusList(statuses, bits);
  const made = createHeaderAndPayload(list, payload, { alg: "ES256", typ: "statuslist+jwt", x5c });
  const token = new SignJWT(made.payload).setProtectedHeader(made.header);
  return { token: await token.sign(await importJWK(key, "ES256")) };
}

/** The libraries make no CWT of a list, but all of its parts (RFC 8392; draft-ietf-oauth-status-list, section 5.2). */
async function statusListAsCwt({ statuses, bits, payload, x5c, key }) {
  const lst = new Uint8Array(Buffer.from(new StatusList(statuses, bits).compressStatusList(), "base64url"));
  const claims = new Map([
    [2, payload.sub],
    [6, payload.iat],
    [4, payload.exp],
    [65534, payload.ttl],
    [65533, new Map([["bits", bits], ["lst", lst]])],
  ]);
  const type = [16, "application/statuslist+cwt"];
  const token = await Sign1.create(
    {
      protectedHeaders: ProtectedHeaders.create({
        protectedHeaders: new Map([[Header.Algorithm, SignatureAlgorithm.ES256], type]),
      }),
      unprotectedHeaders: UnprotectedHeaders.create({
        unprotectedHeaders: new Map([[Header.X5Chain, x5c.length > 1 ? x5c.map(der) : der(x5c[0])]]),
      }),
      payload: cborEncode(claims),
      signingKey: CoseKey.fromJwk(key),
    },
    context,
  );
  return { token: Buffer.from(token.encode()).toString("base64url") };
}

function der(certificate) {
  return new Uint8Array(Buffer.from(certificate, "base64"));
}
