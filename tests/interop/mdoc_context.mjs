// What @owf/mdoc wants from its app: random bytes, hashes, signatures, MACs and certificates, all by node:crypto.

import * as crypto from "node:crypto";

import { CoseKey, KeyType } from "@owf/mdoc";

import { leafUnder, nameFields } from "./certificates.mjs";

const HASHES = { "SHA-256": "sha256", "SHA-384": "sha384", "SHA-512": "sha512" };

export const context = {
  crypto: {
    random: (length) => new Uint8Array(crypto.randomBytes(length)),
    digest: ({ digestAlgorithm, bytes }) => digest(HASHES[digestAlgorithm], bytes),
    // Where a MAC is made the library hands over encoded COSE keys (where one is checked, raw bytes; nobody does here).
    calculateEphemeralMacKey: ({ privateKey, publicKey, sessionTranscriptBytes, info }) => {
      const own = crypto.createECDH("prime256v1");
      own.setPrivateKey(CoseKey.decode(privateKey).privateKey);
      const shared = own.computeSecret(CoseKey.decode(publicKey).publicKey);
      const key = crypto.hkdfSync("sha256", shared, digest("sha256", sessionTranscriptBytes), info, 32);
      return CoseKey.create({ keyType: KeyType.Oct, k: new Uint8Array(key) });
    },
  },
  cose: {
    sign1: {
      sign: ({ toBeSigned, key }) => {
        const signing = crypto.createPrivateKey({ key: key.jwk, format: "jwk" });
        return new Uint8Array(crypto.sign("sha256", toBeSigned, { key: signing, dsaEncoding: "ieee-p1363" }));
      },
      verify: ({ sign1, key }) => {
        const { kty, crv, x, y } = key.jwk;
        const verifying = crypto.createPublicKey({ key: { kty, crv, x, y }, format: "jwk" });
        const options = { key: verifying, dsaEncoding: "ieee-p1363" };
        return crypto.verify("sha256", sign1.toBeSigned, options, sign1.signature);
      },
    },
    mac0: {
      sign: ({ key, toBeAuthenticated }) => hmac(key.privateKey, toBeAuthenticated),
      verify: () => {
        throw new Error("nobody checks MACs here");
      },
    },
  },
  x509: {
    getIssuerNameField: ({ certificate, field }) =>
      nameFields(new crypto.X509Certificate(certificate).issuer, field),
    getPublicKey: ({ certificate }) =>
      CoseKey.fromJwk(new crypto.X509Certificate(certificate).publicKey.export({ format: "jwk" })),
    verifyCertificateChain: ({ trustedCertificates, x5chain }) => {
      leafUnder(trustedCertificates, x5chain);
    },
    getCertificateData: ({ certificate }) => {
      const read = new crypto.X509Certificate(certificate);
      return {
        issuerName: read.issuer,
        subjectName: read.subject,
        serialNumber: read.serialNumber,
        thumbprint: read.fingerprint256,
        notBefore: new Date(read.validFrom),
        notAfter: new Date(read.validTo),
        pem: read.toString(),
      };
    },
  },
};

function digest(algorithm, bytes) {
  return new Uint8Array(crypto.createHash(algorithm).update(bytes).digest());
}

function hmac(key, bytes) {
  return new Uint8Array(crypto.createHmac("sha256", key).update(bytes).digest());
}
