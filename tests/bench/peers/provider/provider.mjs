// `oidc-provider` on Redis, two processes: the bare code flow, in which everybody who comes is signed in at once.
//
// Run by Node.js beside the packages of package.json, with PORT, REDIS_URL, CLIENT_SECRET and REDIRECT_URI set.
// `/bench/codes?n=…` issues codes as the end of a sign-in would: {"codes": […]}, all for one PKCE challenge.

import cluster from "node:cluster";
import { generateKeyPairSync, randomBytes } from "node:crypto";

const { PORT, REDIS_URL, CLIENT_SECRET, REDIRECT_URI } = process.env;
const SCOPE = "openid profile";
const PROCESSES = 2;

if (cluster.isPrimary) {
  const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const shared = {
    BENCH_KEY: JSON.stringify({ ...privateKey.export({ format: "jwk" }), alg: "ES256", use: "sig", kid: "bench" }),
    BENCH_COOKIES: randomBytes(32).toString("hex"),
  };
  let listening = 0;
  cluster.on("listening", () => {
    listening += 1;
    if (listening === PROCESSES) console.log("ready");
  });
  for (let one = 0; one < PROCESSES; one += 1) cluster.fork(shared);
} else {
  await serve();
}

async function serve() {
  const { default: Redis } = await import("ioredis");
  const { default: Provider } = await import("oidc-provider");
  const redis = new Redis(REDIS_URL);

  // Artifacts are hashes (so that a code is marked as used without being read), found by id, uid or grant.
  class Kept {
    constructor(model) {
      this.model = model;
    }

    key(id) {
      return `bench:${this.model}:${id}`;
    }

    async upsert(id, payload, ttl) {
      const writes = redis.multi().hset(this.key(id), "payload", JSON.stringify(payload));
      if (ttl) writes.expire(this.key(id), ttl);
      if (payload.uid) writes.set(`bench:uid:${payload.uid}`, id, "EX", ttl || 3600);
      if (payload.grantId && this.model !== "Session") {
        writes.sadd(`bench:grant:${payload.grantId}`, this.key(id)).expire(`bench:grant:${payload.grantId}`, ttl || 3600);
      }
      await writes.exec();
    }

    async find(id) {
      const found = await redis.hgetall(this.key(id));
      if (!found.payload) return undefined;
      return { ...JSON.parse(found.payload), ...(found.consumed && { consumed: Number(found.consumed) }) };
    }

    async findByUid(uid) {
      const id = await redis.get(`bench:uid:${uid}`);
      return id === null ? undefined : this.find(id);
    }

    async findByUserCode() {
      return undefined;
    }

    async consume(id) {
      await redis.hset(this.key(id), "consumed", Math.floor(Date.now() / 1000));
    }

    async destroy(id) {
      await redis.del(this.key(id));
    }

    async revokeByGrantId(grantId) {
      const those = await redis.smembers(`bench:grant:${grantId}`);
      await redis.del(`bench:grant:${grantId}`, ...those);
    }
  }

  const provider = new Provider(`http://127.0.0.1:${PORT}`, {
    adapter: Kept,
    clients: [
      {
        client_id: "portal",
        client_secret: CLIENT_SECRET,
        redirect_uris: [REDIRECT_URI],
        grant_types: ["authorization_code"],
        response_types: ["code"],
        token_endpoint_auth_method: "client_secret_basic",
        id_token_signed_response_alg: "ES256",
      },
    ],
    jwks: { keys: [JSON.parse(process.env.BENCH_KEY)] },
    cookies: { keys: [process.env.BENCH_COOKIES] },
    claims: { openid: ["sub"], profile: ["name", "birthdate"] },
    features: { devInteractions: { enabled: false } },
    interactions: { url: (_ctx, interaction) => `/interaction/${interaction.uid}` },
    ttl: { AccessToken: 300, AuthorizationCode: 600, Grant: 3600, IdToken: 300, Interaction: 600, Session: 3600 },
    findAccount: (_ctx, id) => ({
      accountId: id,
      claims: async () => ({ sub: id, name: `Somebody ${id}`, birthdate: "1980-01-01" }),
    }),
  });
  provider.on("server_error", (_ctx, error) => console.error(error));

  async function granted(accountId) {
    const grant = new provider.Grant({ accountId, clientId: "portal" });
    grant.addOIDCScope(SCOPE);
    return grant.save();
  }

  async function codeFor(challenge) {
    const accountId = randomBytes(9).toString("base64url");
    const session = new provider.Session();
    session.loginAccount({ accountId });
    const grantId = await granted(accountId);
    session.ensureClientContainer("portal");
    session.grantIdFor("portal", grantId);
    await session.save(3600);
    const code = new provider.AuthorizationCode({
      accountId,
      grantId,
      client: await provider.Client.find("portal"),
      authTime: Math.floor(Date.now() / 1000),
      codeChallenge: challenge,
      codeChallengeMethod: "S256",
      nonce: randomBytes(9).toString("base64url"),
      redirectUri: REDIRECT_URI,
      scope: SCOPE,
      sessionUid: session.uid,
      expiresWithSession: true,
    });
    return code.save();
  }

  provider.use(async (ctx, next) => {
    if (ctx.path.startsWith("/interaction/")) {
      const { session, prompt } = await provider.interactionDetails(ctx.req, ctx.res);
      const accountId = session?.accountId ?? randomBytes(9).toString("base64url");
      const result = { login: { accountId } };
      if (prompt.name === "consent") result.consent = { grantId: await granted(accountId) };
      ctx.respond = false;
      await provider.interactionFinished(ctx.req, ctx.res, result, { mergeWithLastSubmission: true });
    } else if (ctx.path === "/bench/codes") {
      const codes = [];
      for (let one = 0; one < Number(ctx.query.n); one += 1) codes.push(await codeFor(ctx.query.challenge));
      ctx.body = { codes };
    } else {
      await next();
    }
  });
  provider.listen(PORT, "127.0.0.1");
}
