// A counter by the library openid-client: the device flow (RFC 8628).
//
// First line in: issuer, client_id, key (a private JWK), scope. Answered with the device authorization response. Second
// line: anything, when the holder has decided, or null for nobody yet. Answered {"claims", "userinfo", "again"}, or
// {"error"}: the library's refusal.

import { importJWK } from "jose";
import * as client from "openid-client";

import { lines, say } from "./conversation.mjs";

const PATIENCE_MS = 20_000;

const incoming = lines[Symbol.asyncIterator]();
const asked = await next();
const configuration = await client.discovery(
  new URL(asked.issuer),
  asked.client_id,
  { id_token_signed_response_alg: "ES256" },
  client.PrivateKeyJwt({ key: await importJWK(asked.key, "ES256"), kid: asked.key.kid }),
  { execute: [client.allowInsecureRequests, client.enableNonRepudiationChecks] },
);

try {
  const given = await client.initiateDeviceAuthorization(configuration, { scope: asked.scope });
  say(given);
  await next();
  say(await collect(given));
} catch (error) {
  say({ error: error.error ?? error.code ?? error.name, status: error.status ?? null });
}
lines.close();

async function next() {
  return JSON.parse((await incoming.next()).value);
}

async function collect(given) {
  const options = { signal: AbortSignal.timeout(PATIENCE_MS) };
  const tokens = await client.pollDeviceAuthorizationGrant(configuration, given, undefined, options);
  const claims = tokens.claims();
  return {
    claims,
    userinfo: await client.fetchUserInfo(configuration, tokens.access_token, claims.sub),
    again: await client.pollDeviceAuthorizationGrant(configuration, given, undefined, options).then(
      () => null,
      (error) => error.error ?? error.code,
    ),
  };
}
