// An issuing authority by the libraries @sd-jwt/sd-jwt-vc and @sd-jwt/jwt-status-list.
//
// A line in, one of:
//   {"payload", "frame", "hash", "x5c", "key"}   answered {"credential"}: an SD-JWT VC; key is a private JWK
//   {"statuses", "bits", "payload", "x5c", "key"}   answered {"token"}: a Status List Token

import { digest, ES256, generateSalt } from "@sd-jwt/crypto-nodejs";
import { createHeaderAndPayload, StatusList } from "@sd-jwt/jwt-status-list";
import { SDJwtVcInstance } from "@sd-jwt/sd-jwt-vc";
import { importJWK, SignJWT } from "jose";

import { serve } from "./conversation.mjs";

await serve(async (asked) => ("statuses" in asked ? statusList(asked) : credential(asked)));

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

async function statusList({ statuses, bits, payload, x5c, key }) {
  const list = new StatusList(statuses, bits);
  const made = createHeaderAndPayload(list, payload, { alg: "ES256", typ: "statuslist+jwt", x5c });
  const token = new SignJWT(made.payload).setProtectedHeader(made.header);
  return { token: await token.sign(await importJWK(key, "ES256")) };
}
