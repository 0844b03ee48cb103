// Run by Node.js beside `@sd-jwt/core` and `@owf/mdoc`: JSON on standard input, a line of JSON for each library.

import { createHash, createPublicKey, verify as check, X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";

import { coseKeyToJwk, CoseKey, jwkToCoseKey, SessionTranscript, Verifier } from "@owf/mdoc";
import { SDJwtInstance } from "@sd-jwt/core";
import { digest, ES256 } from "@sd-jwt/crypto-nodejs";

const given = JSON.parse(readFileSync(0, "utf8"));
const bytes = (hex) => Buffer.from(hex, "hex");
const key = createPublicKey({ key: given.bare.jwk, format: "jwk" });
const signed = bytes(given.bare.signed);
const signature = bytes(given.bare.signature);
const now = new Date(given.now * 1000);

const bare = (checks) => async () => {
  for (let one = 0; one < checks; one += 1) {
    if (!check("sha256", signed, key, signature)) throw new Error("the bare check fails");
  }
};

// The fastest of each, in microseconds, of rounds in which they take turns; the first rounds warm the compiler.
async function measured(verify, bareChecks) {
  const times = [[], []];
  for (let round = -5; round < given.rounds; round += 1) {
    for (const [at, work] of [bareChecks, verify].entries()) {
      const began = process.cpuUsage();
      for (let one = 0; one < given.each; one += 1) await work();
      const { user, system } = process.cpuUsage(began);
      if (round >= 0) times[at].push((user + system) / given.each);
    }
  }
  return { bare_us: Math.min(...times[0]), verify_us: Math.min(...times[1]) };
}

const verifier = await ES256.getVerifier(given.sd_jwt.issuer_jwk);
const holder = await ES256.getVerifier(given.sd_jwt.holder_jwk);
const sdJwt = new SDJwtInstance({ hasher: digest, hashAlg: "sha-256", verifier, kbVerifier: holder });

async function verifySdJwt() {
  const { payload } = await sdJwt.verify(given.sd_jwt.presentation, {
    keyBindingNonce: given.sd_jwt.nonce,
    currentDate: given.now,
  });
  if (!payload.birthdate) throw new Error("no birthdate");
}

// What the library leaves to its caller, by Node.js; chains and certificates are remembered, as a verifier would.
const remembered = new Map();
const certificate = (der) => {
  const name = Buffer.from(der).toString("base64");
  if (!remembered.has(name)) remembered.set(name, new X509Certificate(der));
  return remembered.get(name);
};
const field = (certificate, name) =>
  certificate.subject.split("\n").filter((line) => line.startsWith(`${name}=`)).map((line) => line.slice(name.length + 1));
const context = {
  crypto: {
    digest: ({ digestAlgorithm, bytes }) =>
      createHash(digestAlgorithm.replace("-", "").toLowerCase()).update(bytes).digest(),
  },
  cose: {
    sign1: {
      verify: ({ key, sign1 }) =>
        check(
          "sha256",
          sign1.toBeSigned,
          { key: createPublicKey({ key: key.jwk, format: "jwk" }), dsaEncoding: "ieee-p1363" },
          sign1.signature,
        ),
    },
  },
  x509: {
    getIssuerNameField: ({ certificate: der, field: name }) => field(certificate(der), name),
    getPublicKey: ({ certificate: der }) => CoseKey.fromJwk(certificate(der).publicKey.export({ format: "jwk" })),
    verifyCertificateChain: ({ trustedCertificates, x5chain }) => {
      const name = `path ${Buffer.from(x5chain[0]).toString("base64")}`;
      if (!remembered.has(name)) {
        const trusted = trustedCertificates.some((der) => certificate(x5chain[0]).verify(certificate(der).publicKey));
        remembered.set(name, trusted);
      }
      if (!remembered.get(name)) throw new Error("no path");
    },
    getCertificateData: ({ certificate: der }) => {
      const one = certificate(der);
      return {
        issuerName: one.issuer,
        subjectName: one.subject,
        serialNumber: one.serialNumber,
        thumbprint: one.fingerprint256,
        notBefore: new Date(one.validFrom),
        notAfter: new Date(one.validTo),
        pem: one.toString(),
      };
    },
  },
};

const response = Buffer.from(given.mdoc.presentation, "base64url");
const transcript = bytes(given.mdoc.transcript);
const anchor = new X509Certificate(given.mdoc.anchor_pem).raw;

async function verifyMdoc() {
  await Verifier.verifyDeviceResponse(
    { deviceResponse: response, sessionTranscript: transcript, trustedCertificates: [anchor], now },
    context,
  );
}

for (const [name, format, verify, leavesOut] of [
  ["@sd-jwt/core (npm)", "dc+sd-jwt", verifySdJwt, "audience, types, chain, status, shapes"],
  ["@owf/mdoc (npm)", "mso_mdoc", verifyMdoc, "types, status, shapes"],
]) {
  const line = { name, format, leaves_out: leavesOut, ...(await measured(verify, bare(2))) };
  console.log(JSON.stringify(line));
}
