// Values of an mdoc as JSON carries them between a test and a script.

import { DateOnly } from "@owf/mdoc";

/** {"date": "1985-03-14"} is a full-date, {"bytes": base64url} a byte string; all else is what it is in JSON. */
export function fromJson(value) {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    return value;
  }
  if ("date" in value) {
    return new DateOnly(value.date);
  }
  if ("bytes" in value) {
    return new Uint8Array(Buffer.from(value.bytes, "base64url"));
  }
  return new Map(Object.entries(value).map(([name, member]) => [name, fromJson(member)]));
}
