// Certificates, by node:crypto: whom a script believes.

import { X509Certificate } from "node:crypto";

/** The leaf of a chain (DER, leaf first), which must end under one of the trusted CAs (PEM or DER). */
export function leafUnder(trusted, chain) {
  const anchors = trusted.map((certificate) => new X509Certificate(certificate));
  const certificates = chain.map((der) => new X509Certificate(der));
  certificates.forEach((certificate, index) => {
    const parents = index + 1 < certificates.length ? [certificates[index + 1]] : anchors;
    if (!parents.some((parent) => certificate.checkIssued(parent) && certificate.verify(parent.publicKey))) {
      throw new Error("the chain does not end under a trusted CA");
    }
  });
  return certificates[0];
}

/** The values of a field (`C`, `ST`) of a certificate's subject or issuer. */
export function nameFields(name, field) {
  return name
    .split("\n")
    .filter((line) => line.startsWith(`${field}=`))
    .map((line) => line.slice(field.length + 1));
}
