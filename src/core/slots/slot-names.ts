/**
 * The replication slot that the keeper keeps for a node on every other node. Its name follows from the node's, so that each server
 * has it under the same one: a standby that is pointed elsewhere goes on by it.
 */

/** Every slot whose name begins so is the keeper's. */
export const slotPrefix = 'pgkeeper_node_';
/** PostgreSQL's own limit, in bytes. */
const longestName = 63;

/**
 * The name of a node's slot. A slot's name has lower case letters, digits and underscores only; a node's may have any printable ASCII.
 * Where others stand in it, or it is too long, a hash keeps two nodes apart. Case does not: no two nodes differ in case only.
 */
export function slotNameOf(node: string): string {
  const plain = node.toLowerCase();
  const legal = plain.replace(/[^a-z0-9_]/g, '_');
  const name = slotPrefix + legal;
  if (legal === plain && name.length <= longestName) return name;
  const mark = `_${hashOf(plain)}`;
  return name.slice(0, longestName - mark.length) + mark;
}

export function isManagedSlot(name: string): boolean {
  return name.startsWith(slotPrefix);
}

/** FNV-1a, 32 bit, as 8 hexadecimal digits. */
function hashOf(text: string): string {
  let hash = 0x811c9dc5;
  for (const char of text) hash = Math.imul(hash ^ char.charCodeAt(0), 0x01000193);
  return (hash >>> 0).toString(16).padStart(8, '0');
}
