// The wallet's side of mdoc, by @owf/mdoc: what it holds, and what it shows of it.

import {
  CoseKey,
  DeviceAuth,
  DeviceAuthentication,
  DeviceNamespaces,
  DeviceRequest,
  DeviceResponse,
  DeviceSignature,
  DeviceSigned,
  DocRequest,
  Document,
  Header,
  Holder,
  IssuerNamespaces,
  IssuerSigned,
  IssuerSignedItem,
  ItemsRequest,
  ProtectedHeaders,
  SessionTranscript,
  UnprotectedHeaders,
} from "@owf/mdoc";
import { calculateJwkThumbprint } from "jose";

import { fromJson } from "./cbor_values.mjs";
import { context } from "./mdoc_context.mjs";

/** The document as a DCQL query sees it, or as it is passed off. */
export async function described(held, { doc_type = null }) {
  const issuerSigned = IssuerSigned.fromEncodedForOid4Vci(held.credential);
  const names = [...issuerSigned.issuerNamespaces.issuerNamespaces.keys()];
  return {
    credential_format: "mso_mdoc",
    doctype: doc_type ?? issuerSigned.issuerAuth.mobileSecurityObject.docType,
    namespaces: Object.fromEntries(names.map((name) => [name, issuerSigned.getPrettyClaims(name)])),
    authority: held.authority,
    cryptographic_holder_binding: true,
  };
}

/** Throws where the library does not believe it: chain, signature, digests, times. */
export async function check(held, issuers) {
  const trustedCertificates = issuers.map((pem) => Buffer.from(pem));
  await Holder.verifyIssuerSigned({ issuerSigned: held.credential, trustedCertificates }, context);
}

/**
 * A DeviceResponse with what is disclosed (by namespace), bound to a request; base64url.
 *
 * What may be bent. transcript: members of the session transcript that replace the right ones; an origin makes it one
 * of the Digital Credentials API. doc_type: what the document is passed off as, under the device's signature too. mac:
 * a MAC in place of that signature. alter: an element that is given another value. status: of the response. twice: the
 * same document two times.
 */
export async function present(held, disclosed, bound, bent) {
  const sessionTranscript = await transcript(bound, bent.transcript ?? {});
  const issuerSigned = altered(IssuerSigned.fromEncodedForOid4Vci(held.credential), bent.alter);
  const signingKey = CoseKey.fromJwk({ ...held.holder_key, alg: bent.mac ? "HS256" : "ES256" });
  const response = await Holder.createDeviceResponseForDeviceRequest(
    {
      deviceRequest: requestFor(issuerSigned.issuerAuth.mobileSecurityObject.docType, disclosed),
      issuerSigned: [issuerSigned],
      sessionTranscript,
      ...(bent.mac
        ? { mac: { signingKey, ephemeralKey: CoseKey.fromJwk(bound.encryptionKey) } }
        : { signature: { signingKey } }),
    },
    context,
  );
  const documents = await Promise.all(
    response.documents.map((document) => renamed(document, bent.doc_type, sessionTranscript, signingKey)),
  );
  return DeviceResponse.createSimple({
    documents: bent.twice ? [...documents, ...documents] : documents,
    status: bent.status ?? response.status,
  }).encodedForOid4Vp;
}

function requestFor(docType, disclosed) {
  const namespaces = Object.fromEntries(
    Object.entries(disclosed).map(([name, elements]) => [
      name,
      Object.fromEntries(Object.keys(elements).map((element) => [element, false])),
    ]),
  );
  return DeviceRequest.create({
    docRequests: [DocRequest.create({ itemsRequest: ItemsRequest.create({ docType, namespaces }) })],
  });
}

async function transcript(bound, replaced) {
  const thumbprint = bound.encryptionKey ? await calculateJwkThumbprint(bound.encryptionKey) : null;
  const { jwkThumbprint, ...said } = {
    clientId: bound.clientId,
    nonce: bound.nonce,
    responseUri: bound.responseUri,
    origin: bound.origin,
    jwkThumbprint: thumbprint,
    ...replaced,
  };
  if (bound.mdocNonce) {
    const nonces = { verifierGeneratedNonce: said.nonce, mdocGeneratedNonce: bound.mdocNonce };
    return SessionTranscript.forOid4VpDraft18({ ...said, ...nonces }, context);
  }
  const options = { ...said, jwkThumbprint: jwkThumbprint === null ? undefined : bytes(jwkThumbprint) };
  return said.origin
    ? SessionTranscript.forOid4VpDcApi(options, context)
    : SessionTranscript.forOid4Vp(options, context);
}

function altered(issuerSigned, alter) {
  if (!alter) {
    return issuerSigned;
  }
  const [namespace, element] = alter.path;
  const issuerNamespaces = new Map(issuerSigned.issuerNamespaces.issuerNamespaces);
  const items = issuerNamespaces.get(namespace).map((item) =>
    item.elementIdentifier !== element
      ? item
      : IssuerSignedItem.fromOptions({
          digestId: item.digestId,
          random: item.random,
          elementIdentifier: element,
          elementValue: fromJson(alter.value),
        }),
  );
  issuerNamespaces.set(namespace, items);
  return IssuerSigned.create({
    issuerNamespaces: IssuerNamespaces.create({ issuerNamespaces }),
    issuerAuth: issuerSigned.issuerAuth,
  });
}

async function renamed(document, docType, sessionTranscript, signingKey) {
  if (!docType) {
    return document;
  }
  const deviceNamespaces = DeviceNamespaces.create({ deviceNamespaces: new Map() });
  const authentication = DeviceAuthentication.create({ sessionTranscript, docType, deviceNamespaces });
  const deviceSignature = await DeviceSignature.create(
    {
      protectedHeaders: ProtectedHeaders.create({
        protectedHeaders: new Map([[Header.Algorithm, signingKey.algorithm]]),
      }),
      unprotectedHeaders: UnprotectedHeaders.create({}),
      detachedPayload: authentication.encode({ asDataItem: true }),
      signingKey,
    },
    context,
  );
  const deviceSigned = DeviceSigned.create({
    deviceNamespaces,
    deviceAuth: DeviceAuth.create({ deviceSignature }),
  });
  return Document.create({ docType, issuerSigned: document.issuerSigned, deviceSigned });
}

function bytes(text) {
  return new Uint8Array(Buffer.from(text, "base64url"));
}
