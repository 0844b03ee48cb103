// A single-page application by the library oidc-client-ts: a public client, its state in memory instead of a browser.
//
// First line in: issuer, client_id, redirect_uri, post_logout_redirect_uri, scope. Answered {"authorization_url"}.
// Second line: the URL at which the browser came back, as a JSON string. Answered {"profile", "id_token",
// "end_session_url"}, with "refreshed" and "after_revocation" where it got a refresh token, or {"error"}: the library's
// refusal.

import { InMemoryWebStorage, OidcClient, WebStorageStateStore } from "oidc-client-ts";

import { lines, say } from "./conversation.mjs";

const incoming = lines[Symbol.asyncIterator]();
const asked = await next();
const client = new OidcClient({
  authority: asked.issuer,
  client_id: asked.client_id,
  redirect_uri: asked.redirect_uri,
  post_logout_redirect_uri: asked.post_logout_redirect_uri,
  scope: asked.scope,
  loadUserInfo: true,
  // What comes back from a revocation has no body (RFC 7009, section 2.2); the library asks of what kind it is.
  stateStore: new WebStorageStateStore({ store: new InMemoryWebStorage() }),
});
const request = await client.createSigninRequest({});
say({ authorization_url: request.url });

const back = await next();
try {
  say(await signIn(back));
} catch (error) {
  say({ error: error.error ?? error.message });
}
lines.close();

async function next() {
  return JSON.parse((await incoming.next()).value);
}

async function signIn(url) {
  const first = await client.processSigninResponse(url);
  const metadata = await client.metadataService.getMetadata();
  const result = {
    profile: first.profile,
    id_token: first.id_token,
    end_session_url: (await client.createSignoutRequest({ id_token_hint: first.id_token })).url,
  };
  if (first.refresh_token) {
    const second = await client.useRefreshToken({ state: { ...first, session_state: null } });
    result.refreshed = second.access_token !== first.access_token;
    await client.revokeToken(second.access_token, "access_token");
    const answer = await fetch(metadata.userinfo_endpoint, {
      headers: { Authorization: `Bearer ${second.access_token}` },
    });
    result.after_revocation = answer.status;
  }
  return result;
}
