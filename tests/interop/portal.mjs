// A portal by the library openid-client, as an app would use it.
//
// First line in:
//   issuer, client_id, redirect_uri, post_logout_redirect_uri, scope
//   discovery       "oidc" or "oauth2" (RFC 8414)
//   method          token_endpoint_auth_method; secret or key (a private JWK) goes with it
//   id_token_alg    what the portal registered
//   parameters      more parameters for the authorization request
//   max_age         null, or seconds
//   extensions      some of "par", "jar" (needs key), "jarm", "dpop"
// Answered {"authorization_url"}. Second line: the URL at which the browser came back, as a JSON string. Answered
// {"claims", "userinfo", "end_session_url", "again"}, or {"error"}: the library's refusal.

import { importJWK } from "jose";
import * as client from "openid-client";

import { lines, say } from "./conversation.mjs";

const incoming = lines[Symbol.asyncIterator]();
const asked = await next();
const configuration = await client.discovery(
  new URL(asked.issuer),
  asked.client_id,
  { id_token_signed_response_alg: asked.id_token_alg, authorization_signed_response_alg: "ES256" },
  await authentication(asked),
  { algorithm: asked.discovery, execute: [client.allowInsecureRequests, client.enableNonRepudiationChecks] },
);
if (uses("jarm")) {
  client.useJwtResponseMode(configuration);
}
const bound = uses("dpop")
  ? { DPoP: client.getDPoPHandle(configuration, await client.randomDPoPKeyPair("ES256")) }
  : undefined;
const verifier = client.randomPKCECodeVerifier();
const [state, nonce] = [client.randomState(), client.randomNonce()];
try {
  const url = await authorizationUrl({
    redirect_uri: asked.redirect_uri,
    scope: asked.scope,
    state,
    nonce,
    code_challenge: await client.calculatePKCECodeChallenge(verifier),
    code_challenge_method: "S256",
    ...(asked.max_age === null ? {} : { max_age: String(asked.max_age) }),
    ...asked.parameters,
  });
  say({ authorization_url: url.href });
} catch (error) {
  say({ error: error.error ?? error.code ?? error.name, status: error.status ?? null });
}

const back = new URL(await next());
try {
  say(await signIn(back));
} catch (error) {
  say({ error: error.error ?? error.code ?? error.name, status: error.status ?? null });
}
lines.close();

async function next() {
  return JSON.parse((await incoming.next()).value);
}

function uses(extension) {
  return asked.extensions.includes(extension);
}

/** The library's own way for each extension: a signed request first, and what is pushed is then that. */
async function authorizationUrl(parameters) {
  let url = client.buildAuthorizationUrl(configuration, parameters);
  if (uses("jar")) {
    const key = { key: await importJWK(asked.key, "ES256"), kid: asked.key.kid };
    url = await client.buildAuthorizationUrlWithJAR(configuration, parameters, key);
  }
  if (uses("par")) {
    url = await client.buildAuthorizationUrlWithPAR(configuration, url.searchParams, bound);
  }
  return url;
}

async function signIn(url) {
  const checks = {
    pkceCodeVerifier: verifier,
    expectedState: state,
    expectedNonce: nonce,
    idTokenExpected: true,
    ...(asked.max_age === null ? {} : { maxAge: asked.max_age }),
  };
  const tokens = await client.authorizationCodeGrant(configuration, url, checks, undefined, bound);
  const claims = tokens.claims();
  return {
    token_type: tokens.token_type,
    expires_in: tokens.expires_in,
    id_token: tokens.id_token,
    claims,
    userinfo: await client.fetchUserInfo(configuration, tokens.access_token, claims.sub, bound),
    unbound: await client.fetchUserInfo(configuration, tokens.access_token, claims.sub).then(
      () => null,
      (error) => error.cause?.[0]?.parameters?.error ?? error.code,
    ),
    end_session_url: client.buildEndSessionUrl(configuration, {
      id_token_hint: tokens.id_token,
      post_logout_redirect_uri: asked.post_logout_redirect_uri,
      state,
    }).href,
    state,
    again: await client.authorizationCodeGrant(configuration, url, checks, undefined, bound).then(
      () => null,
      (error) => error.error ?? error.code,
    ),
    after_replay: await client.fetchUserInfo(configuration, tokens.access_token, claims.sub, bound).then(
      () => null,
      (error) => error.cause?.[0]?.parameters?.error ?? error.code,
    ),
  };
}

async function authentication({ method, secret, key }) {
  switch (method) {
    case "client_secret_basic":
      return client.ClientSecretBasic(secret);
    case "client_secret_post":
      return client.ClientSecretPost(secret);
    case "private_key_jwt":
      return client.PrivateKeyJwt({ key: await importJWK(key, "ES256"), kid: key.kid });
    default:
      return client.None();
  }
}
