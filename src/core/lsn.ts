/** WAL positions: 64 bit, shown by PostgreSQL as two hexadecimal halves, 'X/Y'. */

declare const lsnBrand: unique symbol;

/** A position in the write-ahead log. Compare with < and >; the difference of two is bytes. */
export type Lsn = bigint & { readonly [lsnBrand]: true };

/** Reads 'X/Y'. Throws a RangeError on anything else: positions come from PostgreSQL, never from people. */
export function parseLsn(text: string): Lsn {
  const match = /^([0-9A-Fa-f]{1,8})\/([0-9A-Fa-f]{1,8})$/.exec(text);
  if (match === null) throw new RangeError(`not a WAL position: ${text}`);
  return ((BigInt(`0x${match[1]}`) << 32n) | BigInt(`0x${match[2]}`)) as Lsn;
}

export function formatLsn(lsn: Lsn): string {
  return `${(lsn >> 32n).toString(16).toUpperCase()}/${(lsn & 0xffff_ffffn).toString(16).toUpperCase()}`;
}
